// Forms and buttons that speak to the public API: <form data-api="POST /projects/x/labels">.
// Fields become JSON members (`names.ja` nests); data-then names the page to open afterwards.

import { call, newKey } from "./api.js";

const READERS = {
  number: (field) => (field.value === "" ? null : Number(field.value)),
  lines: (field) => field.value.split("\n").map((line) => line.trim()).filter(Boolean),
  boolean: (field) => (field.type === "checkbox" ? field.checked : field.value === "true"),
  optional: (field) => field.value.trim() || null,
};

function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name) continue;
    const read = READERS[field.dataset.as] ?? ((element) => element.value.trim());
    const value = read(field);
    if (value === null && "omitEmpty" in field.dataset) continue;
    const path = field.name.split(".");
    const last = path.pop();
    const target = path.reduce((node, name) => (node[name] ??= {}), body);
    if (!(path.length && value === "")) target[last] = value;
  }
  return body;
}

function showProblem(form, error) {
  const place = form.querySelector("[role=alert]") ?? document.querySelector("#page-problem");
  if (!place) return;
  place.textContent = error.message;
  place.hidden = false;
}

async function send(form) {
  const [method, path] = form.dataset.api.split(" ");
  const headers = form.dataset.etag ? { "if-match": form.dataset.etag } : {};
  if (method === "POST") headers["idempotency-key"] = newKey();
  await call(method, path, "noBody" in form.dataset ? undefined : bodyOf(form), headers);
  window.location.assign(form.dataset.then ?? window.location.href);
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.api) return;
  event.preventDefault();
  if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) return;
  const button = event.submitter;
  if (button) button.disabled = true;
  try {
    await send(form);
  } catch (error) {
    showProblem(form, error);
  } finally {
    if (button) button.disabled = false;
  }
});
