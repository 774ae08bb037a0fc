// Files for an import go as a form over the public API; the page then shows the job at work.

import { answer } from "./api.js";

async function send(form) {
  return answer(await fetch(`/api/v1${form.dataset.upload}`, {
    method: "POST", body: new FormData(form), headers: { accept: "application/json" },
  }));
}

for (const form of document.querySelectorAll("form[data-upload]")) form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const alert = form.querySelector("[role=alert]");
  const button = form.querySelector(".primary");
  const name = button.textContent;
  alert.hidden = true;
  button.disabled = true;
  button.textContent = form.dataset.sending;
  try {
    await send(form);
    window.location.reload();
  } catch (error) {
    alert.textContent = error.message;
    alert.hidden = false;
    button.disabled = false;
    button.textContent = name;
  }
});
