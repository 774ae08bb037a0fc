// The order of the labels: dragged by their handle, with a finger too, or moved by their buttons.
// Each move is saved at once over the public API.

import { Problem, answer } from "./api.js";

const list = document.getElementById("label-order");
const problem = document.getElementById("order-problem");
const said = document.getElementById("order-said");
const rows = () => [...list.children];
let etag = list.dataset.etag;
let saving = Promise.resolve();

function number() {
  rows().forEach((row, place) => {
    row.querySelector("[data-digit]").textContent = place < 9 ? place + 1 : "";
    row.querySelector("[data-move=up]").disabled = place === 0;
    row.querySelector("[data-move=down]").disabled = place === rows().length - 1;
  });
}

// Moving changes the versions of the labels, which their own forms are saved under.
function renew(labels) {
  for (const label of labels) {
    const row = rows().find((one) => one.dataset.key === label.key);
    for (const form of row?.querySelectorAll("form[data-etag]") ?? []) form.dataset.etag = `"${label.version}"`;
  }
}

async function put(keys) {
  const response = await fetch(`/api/v1/projects/${list.dataset.slug}/label-order`, {
    method: "PUT",
    headers: { accept: "application/json", "content-type": "application/json", "if-match": etag },
    body: JSON.stringify({ keys }),
  });
  const found = await answer(response);
  etag = response.headers.get("etag");
  renew(found.items);
}

function save(row) {
  number();
  const place = rows().indexOf(row) + 1;
  const keys = rows().map((one) => one.dataset.key);
  saving = saving.then(() => put(keys)).then(() => {
    problem.hidden = true;
    said.textContent = list.dataset.moved.replace("{label}", row.dataset.name).replace("{place}", place);
  }).catch((error) => {
    problem.textContent = error instanceof Problem && error.status === 412 ? list.dataset.stale : error.message;
    problem.hidden = false;
  });
}

function step(row, button) {
  const isUp = button.dataset.move === "up";
  const other = isUp ? row.previousElementSibling : row.nextElementSibling;
  if (!other) return;
  if (isUp) row.after(other);
  else row.before(other);
  save(row);
  const still = button.disabled ? row.querySelector("[data-move]:not(:disabled)") : button;
  still?.focus();
}

// The others move around the dragged row: taking it out of the page would end its drag.
function follow(row, y) {
  const middle = (one) => { const box = one.getBoundingClientRect(); return box.top + box.height / 2; };
  let moved = true;
  while (moved) {
    const before = row.previousElementSibling, after = row.nextElementSibling;
    moved = Boolean((before && y < middle(before)) || (after && y > middle(after)));
    if (before && y < middle(before)) row.after(before);
    else if (after && y > middle(after)) row.before(after);
  }
}

function drag(row, handle, event) {
  const begin = rows().indexOf(row);
  const onMove = (move) => follow(row, move.clientY);
  handle.setPointerCapture(event.pointerId);
  row.dataset.dragged = "";
  handle.addEventListener("pointermove", onMove);
  handle.addEventListener("lostpointercapture", () => {
    handle.removeEventListener("pointermove", onMove);
    delete row.dataset.dragged;
    if (rows().indexOf(row) !== begin) save(row);
  }, { once: true });
}

list.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (button) step(button.closest("[data-key]"), button);
});
list.addEventListener("pointerdown", (event) => {
  const handle = event.target.closest("[data-handle]");
  if (!handle || event.button !== 0) return;
  event.preventDefault();
  drag(handle.closest("[data-key]"), handle, event);
});
number();
