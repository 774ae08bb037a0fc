// A finger that stays where it is: what Shift with a click is to a mouse.

const HOLD_MS = 500;
const SLIP = 12; // pixels that a finger at rest may wander

export function onHold(element, act) {
  let timer = null;
  let from = null; // where the finger came down, null for a mouse
  let isHeld = false;
  element.addEventListener("pointerdown", (event) => {
    isHeld = false;
    from = event.pointerType === "touch" ? { x: event.clientX, y: event.clientY } : null;
    if (!from) return;
    timer = setTimeout(() => {
      isHeld = true;
      act();
    }, HOLD_MS);
  });
  element.addEventListener("pointermove", (event) => {
    if (from && Math.hypot(event.clientX - from.x, event.clientY - from.y) > SLIP) clearTimeout(timer);
  });
  for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, () => clearTimeout(timer));
  element.addEventListener("contextmenu", (event) => from && event.preventDefault());
  // The click that ends a hold is none.
  element.addEventListener("click", (event) => {
    if (isHeld) event.stopImmediatePropagation();
    isHeld = false;
  }, { capture: true });
}
