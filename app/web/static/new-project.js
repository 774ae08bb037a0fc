// A new project with its labels: the project first, then each label, all over the public API.

import { create } from "./api.js";

const form = document.getElementById("new-project");
const lines = document.getElementById("label-lines");
const palette = JSON.parse(form.dataset.palette);
const asKey = (name) => name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

function addLine() {
  const line = document.getElementById("label-line").content.firstElementChild.cloneNode(true);
  const part = (name) => line.querySelector(`[data-part=${name}]`);
  part("colour").value = palette[lines.children.length % palette.length];
  part("en").addEventListener("input", () => { if (!part("key").dataset.touched) part("key").value = asKey(part("en").value); });
  part("key").addEventListener("input", () => { part("key").dataset.touched = "yes"; });
  line.querySelector("[data-remove]").addEventListener("click", () => line.remove());
  lines.append(line);
  return line;
}

function labelOf(line) {
  const part = (name) => line.querySelector(`[data-part=${name}]`).value.trim();
  const names = Object.fromEntries(["ja", "en"].map((code) => [code, part(code)]).filter(([, name]) => name));
  return { key: part("key"), names, colour: part("colour"), ...(part("hotkey") ? { hotkey: part("hotkey") } : {}) };
}

async function save(event) {
  event.preventDefault();
  const field = (name) => form.elements[name].value.trim();
  const project = { slug: field("slug"), name: field("name"), time_zone: field("time_zone"), hourly_cost: Number(field("hourly_cost")), currency: field("currency") };
  const alert = form.querySelector("[role=alert]");
  const button = form.querySelector(".primary");
  alert.hidden = true;
  button.disabled = true;
  try {
    if (!form.dataset.created) await create("/projects", project);
    form.dataset.created = project.slug;
    for (const line of [...lines.children]) {
      const label = labelOf(line);
      if (label.key && !line.dataset.saved) await create(`/projects/${project.slug}/labels`, label);
      line.dataset.saved = "yes";
    }
    window.location.assign(`/projects/${project.slug}`);
  } catch (error) {
    alert.textContent = error.message;
    alert.hidden = false;
    button.disabled = false;
  }
}

const { name: projectName, slug } = form.elements;
const suggestSlug = () => { if (!slug.dataset.touched) slug.value = asKey(projectName.value); };
projectName.addEventListener("input", suggestSlug);
slug.addEventListener("input", () => { slug.dataset.touched = "yes"; });
// The name has the focus before this script is there: what was typed by then counts too.
if (!slug.value) suggestSlug();
document.getElementById("add-label").addEventListener("click", () => addLine().querySelector("input").focus());
form.addEventListener("submit", save);
for (let count = 0; count < 3; count += 1) addLine();
