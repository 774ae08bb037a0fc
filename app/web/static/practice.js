// The guide's practice: the desk's keys on photos whose answers are known. Nothing is stored.

import { placeOver } from "./heat.js";
import { isForeign, KeyMap, nameOf } from "./keymap.js";
import { Viewer } from "./viewer.js";

const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("practice").dataset.config);
const text = config.messages;
const viewer = new Viewer(byId("stage"), byId("view"), byId("photo"));
const usual = { submit: "enter", clear: "x", zoomIn: "+", zoomOut: "-", fit: "0" };
const keys = new KeyMap(`kizu/${config.user}/keys`, usual, config.labels);

let photos = [];
let at = 0;
let chosen = new Set();
let isAnswered = false;
let right = 0;
let began = 0;

const fill = (message, names) => message.replace(/\{(\w+)\}/g, (_, name) => names[name]);

function show() {
  chosen = new Set();
  viewer.show(`${config.folder}/${photos[at].photo}`, null);
  byId("marks").hidden = true;
  byId("count").textContent = fill(text.count, { number: at + 1, all: photos.length });
  byId("verdict").textContent = at ? "" : text.begin;
  byId("submit-name").textContent = text.submit;
  byId("labels").replaceChildren(...config.labels.map(itemOf));
}

function itemOf(label, index) {
  const item = document.createElement("li");
  const chip = byId("chip").content.firstElementChild.cloneNode(true);
  chip.dataset.label = label.key;
  chip.querySelector("kbd").textContent = String(index + 1);
  chip.querySelector("circle").setAttribute("fill", label.colour);
  chip.querySelector(".label-name").textContent = label.name;
  chip.addEventListener("click", () => toggle(label.key));
  item.append(chip);
  return item;
}

const chipOf = (key) => document.querySelector(`.chip[data-label="${CSS.escape(key)}"]`);

function toggle(key) {
  if (isAnswered) return;
  if (!chosen.delete(key)) chosen.add(key);
  const isOn = chosen.has(key);
  chipOf(key).setAttribute("aria-pressed", isOn);
  chipOf(key).dataset.value = isOn ? "present" : "absent";
  chipOf(key).querySelector(".mark").textContent = isOn ? "✓" : "";
}

function clear() {
  [...chosen].forEach(toggle);
}

function submit() {
  if (at >= photos.length) return begin();
  if (isAnswered) return next();
  return answer();
}

function answer() {
  isAnswered = true;
  const { places } = photos[at];
  const wrong = config.labels.filter(({ key }) => chosen.has(key) !== key in places);
  for (const { key } of config.labels) chipOf(key).querySelector(".confidence").textContent = verdictOf(key, places);
  if (!wrong.length) right += 1;
  byId("verdict").textContent = wrong.length ? fill(text.wrong, { labels: wrong.map((one) => one.name).join(text.comma) }) : text.right;
  byId("submit-name").textContent = text.next;
  markPlaces();
}

function verdictOf(key, places) {
  if (key in places) return chosen.has(key) ? text.found : text.missed;
  return chosen.has(key) ? text.not_there : "";
}

// Whoever answers before the photo has come sees its marks when it comes.
function markPlaces() {
  const [canvas, photo] = [byId("marks"), byId("photo")];
  if (!isAnswered || !photo.naturalWidth) return;
  const { places } = photos[at];
  Object.assign(canvas, { width: photo.naturalWidth, height: photo.naturalHeight });
  const pen = canvas.getContext("2d");
  pen.lineWidth = 3;
  for (const { key, colour } of config.labels) {
    if (!(key in places)) continue;
    const [left, top, width, height] = places[key];
    pen.strokeStyle = colour;
    pen.strokeRect(left * canvas.width, top * canvas.height, width * canvas.width, height * canvas.height);
  }
  placeOver(canvas, photo);
  canvas.hidden = false;
}

function next() {
  isAnswered = false;
  at += 1;
  if (at < photos.length) return show();
  const seconds = Math.round((performance.now() - began) / 1000 / photos.length);
  byId("photo").hidden = true;
  byId("marks").hidden = true;
  byId("labels").replaceChildren();
  byId("count").textContent = text.done;
  byId("verdict").textContent = fill(text.result, { right, all: photos.length, seconds });
  byId("submit-name").textContent = text.again;
  return undefined;
}

function begin() {
  [at, right, began] = [0, 0, performance.now()];
  byId("photo").hidden = false;
  show();
}

const COMMANDS = { submit, clear, zoomIn: () => viewer.zoomIn(), zoomOut: () => viewer.zoomOut(), fit: () => viewer.fit() };

function onKey(event) {
  if (isForeign(event) || event.target.closest("input, select, textarea, a")) return;
  const button = event.target.closest("button");
  if (button && event.key === "Enter" && !button.matches(".chip")) return;
  const label = keys.labelOf(event);
  const command = keys.commandOf(event);
  if ((!label && !command) || event.repeat) return;
  event.preventDefault();
  if (label) toggle(label.key);
  else COMMANDS[command]();
}

async function start() {
  for (const place of document.querySelectorAll("kbd[data-command]")) place.textContent = nameOf(keys.keys[place.dataset.command]);
  for (const button of document.querySelectorAll("button[data-does]")) button.addEventListener("click", COMMANDS[button.dataset.does]);
  document.addEventListener("keydown", onKey);
  byId("photo").addEventListener("load", markPlaces);
  photos = await (await fetch(`${config.folder}/answers.json`)).json();
  begin();
}

start();
