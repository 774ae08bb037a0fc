// Loaded before anything is shown: what somebody sends before the other scripts are there waits for
// them. The browser alone would open the form's own page, with its fields (a password) in the address.

{
  const waiting = new Map();

  const hold = (event) => {
    if (!event.target.dataset.api) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    waiting.set(event.target, event.submitter);
  };

  document.addEventListener("submit", hold, true);
  document.addEventListener("DOMContentLoaded", () => {
    document.removeEventListener("submit", hold, true);
    for (const [form, button] of waiting) form.requestSubmit(button);
  });
}
