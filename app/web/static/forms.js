// Forms and buttons that speak to the public API: <form data-api="POST /projects/x/labels">.
// Fields become JSON members (`names.ja` nests). data-then names the page to open afterwards; in it
// `{id}` is a member of the answer, in data-api a field. data-on412 says what a status means here.

import { call, newKey } from "./api.js";

const READERS = {
  number: (field) => (field.value === "" ? null : Number(field.value)),
  lines: (field) => field.value.split("\n").map((line) => line.trim()).filter(Boolean),
  boolean: (field) => (field.type === "checkbox" ? field.checked : field.value === "true"),
  optional: (field) => field.value.trim() || null,
  exact: (field) => field.value || null,
  words: (field) => field.value.split(" ").filter(Boolean),
  percent: (field) => (field.value === "" ? null : Number(field.value) / 100),
  end_of_day: (field) => (field.value ? new Date(`${field.value}T23:59:59`).toISOString() : null),
};

const filled = (address, valueOf) => address.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(valueOf(name)));
const announce = (form, name, detail) => form.dispatchEvent(new CustomEvent(name, { bubbles: true, cancelable: true, detail }));

function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || (field.type === "radio" && !field.checked)) continue;
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
  place.textContent = form.dataset[`on${error.status}`] ?? error.message;
  place.hidden = false;
}

async function send(form) {
  const [method, address] = form.dataset.api.split(" ");
  const path = filled(address, (name) => form.elements[name].value.trim());
  const headers = form.dataset.etag ? { "if-match": form.dataset.etag } : {};
  if (method === "POST") headers["idempotency-key"] = newKey();
  const found = await call(method, path, "noBody" in form.dataset ? undefined : bodyOf(form), headers);
  if (!announce(form, "kizu:done", found)) return;
  // Without its #place: an address that has one would only be scrolled to.
  const { pathname, search } = window.location;
  window.location.assign(filled(form.dataset.then ?? pathname + search, (name) => found[name]));
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
    if (announce(form, "kizu:failed", error)) showProblem(form, error);
  } finally {
    if (button) button.disabled = false;
  }
});

function isTouched(field) {
  if (!field.options) return "defaultValue" in field && field.value !== field.defaultValue;
  const options = [...field.options];
  return field.value !== (options.findLast((option) => option.defaultSelected) ?? options[0]).value;
}

// A filter chosen before htmx was there is applied.
document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("form[hx-get]")) {
    [...form.elements].find(isTouched)?.dispatchEvent(new Event("change", { bubbles: true }));
  }
});
