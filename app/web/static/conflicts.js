// Somebody else saved first (412). What they changed and this form did not is taken over; what both
// changed is listed and stays as it was typed. Saving once more then saves it over theirs.

import { answer } from "./api.js";

const SHOWN = {
  percent: (value) => String(Number((value * 100).toFixed(6))),
  lines: (value) => value.join("\n"),
};

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// A field of a form, or the radio buttons that together are one.
class Entry {
  constructor(form, name) {
    this.parts = [...form.elements].filter((field) => field.name === name);
    this.first = this.parts[0];
    this.name = name;
    this.isRadio = this.first.type === "radio";
  }

  get value() {
    return this.isRadio ? this.parts.find((part) => part.checked)?.value ?? "" : this.first.value;
  }

  set value(value) {
    if (this.isRadio) for (const part of this.parts) part.checked = part.value === value;
    else this.first.value = value;
  }

  get loaded() {
    if (this.isRadio) return this.parts.find((part) => part.defaultChecked)?.value ?? "";
    if (this.first.options) return [...this.first.options].find((one) => one.defaultSelected)?.value ?? this.first.options[0].value;
    return this.first.defaultValue;
  }

  set loaded(value) {
    if (this.isRadio) for (const part of this.parts) part.defaultChecked = part.value === value;
    else if (this.first.options) for (const one of this.first.options) one.defaultSelected = one.value === value;
    else this.first.defaultValue = value;
  }

  in(found) {
    const value = this.name.split(".").reduce((node, name) => node?.[name], found);
    return value == null ? "" : (SHOWN[this.first.dataset.as] ?? String)(value);
  }

  isSame(one, other) {
    return this.first.type === "number" ? Number(one) === Number(other) : one.trim() === other.trim();
  }

  words(value) {
    if (this.isRadio) return this.parts.find((part) => part.value === value)?.closest("label").querySelector("strong").textContent ?? value;
    if (this.first.options) return [...this.first.options].find((one) => one.value === value)?.text ?? value;
    return value;
  }

  get title() {
    return this.first.closest(this.isRadio ? "fieldset" : ".field").querySelector("legend, span").textContent;
  }
}

function merge(form, found) {
  const names = [...form.elements].filter((field) => field.name && field.type !== "hidden" && field.type !== "password").map((field) => field.name);
  const taken = [], both = [];
  for (const name of new Set(names)) {
    const entry = new Entry(form, name);
    const mine = entry.value, loaded = entry.loaded, theirs = entry.in(found);
    if (entry.isSame(theirs, loaded)) continue;
    entry.loaded = theirs;
    const isUntouched = entry.isSame(mine, loaded);
    entry.value = isUntouched ? theirs : mine;
    const values = { field: entry.title, theirs: entry.words(theirs), mine: entry.words(mine) };
    if (isUntouched) taken.push(values);
    else if (!entry.isSame(mine, theirs)) both.push(values);
  }
  return { taken, both };
}

function tell(form, { taken, both }) {
  const place = form.querySelector("[role=alert]");
  const list = document.createElement("ul");
  const lines = [...both.map((one) => filled(place.dataset.both, one)), ...taken.map((one) => filled(place.dataset.taken, one))];
  for (const line of lines) list.append(Object.assign(document.createElement("li"), { textContent: line }));
  const text = document.createElement("div");
  text.append(form.dataset.on412, ...(lines.length ? [list] : []));
  place.replaceChildren(text);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

async function settle(form) {
  const response = await fetch(`/api/v1${form.dataset.api.split(" ")[1]}`, { headers: { accept: "application/json" } });
  const found = await answer(response);
  tell(form, merge(form, found));
  form.dataset.etag = response.headers.get("etag");
}

document.addEventListener("kizu:failed", (event) => {
  const form = event.target;
  if (event.detail.status !== 412 || !("on412" in form.dataset)) return;
  event.preventDefault();
  settle(form).catch((error) => {
    const place = form.querySelector("[role=alert]");
    place.textContent = error.message;
    place.hidden = false;
  });
});
