// A secret that the API tells once: it stays on the screen, with a button that copies it, until its
// reader closes it. <form data-reveal="token"> names the member of the answer.

const dialog = document.getElementById("secret");
const field = dialog.querySelector("input");
const status = dialog.querySelector("[role=status]");
let wasCopied = false;

async function copy() {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    wasCopied = true;
  } catch {
    // Browsers offer their clipboard to pages on https only; a plant's network may have none.
    wasCopied = document.execCommand("copy");
  }
  status.textContent = wasCopied ? dialog.dataset.copied : dialog.dataset.byHand;
}

document.addEventListener("kizu:done", (event) => {
  const member = event.target.dataset.reveal;
  if (!member) return;
  event.preventDefault();
  field.value = event.detail[member];
  dialog.showModal();
  field.select();
});
dialog.querySelector("[data-copy]").addEventListener("click", copy);
dialog.addEventListener("cancel", (event) => { if (!wasCopied) event.preventDefault(); });
dialog.addEventListener("close", () => {
  field.value = "";
  window.location.assign(window.location.href);
});
