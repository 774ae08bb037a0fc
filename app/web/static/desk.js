// The desk where people annotate and review: one photo, its labels, keys. Over the public API only.
//
// Answers are kept as `values`: label key → present | absent | unsure; labels that are off count as
// absent once the photo is submitted.

import { create } from "./api.js";
import { ActiveClock } from "./clock.js";
import { HeatOverlay } from "./heat.js";
import { onHold } from "./hold.js";
import { isForeign, KeyMap, nameOf } from "./keymap.js";
import { isLost, Leases } from "./leases.js";
import { Levels } from "./levels.js";
import { LostWork } from "./lost.js";
import { Outbox } from "./outbox.js";
import { Viewer } from "./viewer.js";

const DRAFT_DELAY_MS = 300;
const SHARP_TYPES = new Set(["image/jpeg", "image/png", "image/webp", "image/bmp"]);
const PREVIEW_SIDE = 1280;
const SEEN_AT_ONCE = 9;
const USUAL_KEYS = { submit: "enter", clear: "x", undo: "u", skip: "s", zoomIn: "+", zoomOut: "-", fit: "0", help: "?" };

const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("desk").dataset.config);
const text = config.messages;
const isReview = config.purpose === "review";
const mine = `kizu/${config.user}`;

const clock = new ActiveClock();
const overlay = new HeatOverlay(byId("heat"), byId("photo"));
const viewer = new Viewer(byId("stage"), byId("view"), byId("photo"));
const levels = new Levels(byId("deep"), byId("photo"), {
  panel: byId("levels"), low: byId("level-low"), high: byId("level-high"), reset: byId("level-reset"),
});
const keys = new KeyMap(`${mine}/keys`, { ...USUAL_KEYS, ...(isReview ? { heat: "h" } : {}) }, config.labels);
const leases = new Leases(config.slug, { purpose: config.purpose, ...config.wish }, {
  onLost: (lease, error) => (lease.isAnswered ? lost.show(workOn(lease), error.message) : advance()),
  onTrouble: showTrouble,
});
const outbox = new Outbox(`${mine}/${config.slug}`, { onCount: showUnsent, onSent, onRefused });
const lost = new LostWork(config, { retake: retakeLost, settled: forgetLost });

let values = {};
let heat = 0; // which of the photo's heat maps is shown: 0 none, then the first, the second, …
let draftTimer = null;

const fill = (message, names) => message.replace(/\{(\w+)\}/g, (_, name) => names[name]);

// What the person sees

function say(message) {
  byId("status").textContent = message;
}

function startingValues(lease) {
  const found = { ...lease.known };
  for (const suggestion of lease.suggestions) found[suggestion.label] = suggestion.value;
  return { ...found, ...(lease.draft?.values ?? {}) };
}

function show() {
  const lease = leases.current;
  hideHeat();
  byId("photo").hidden = !lease;
  byId("stage-message").hidden = Boolean(lease);
  for (const name of ["submit", "clear", "skip"]) byId(name).disabled = !lease;
  if (!lease) return showNothingWaits();
  values = startingValues(lease);
  lease.isAnswered ??= Boolean(lease.draft);
  clock.restart(lease.draft?.active_seconds ?? 0);
  viewer.show(leases.previewOf(lease), sharpOf(lease));
  levels.offer(lease.bit_depth > 8 ? `/api/v1/projects/${config.slug}/images/${lease.image_id}/deep` : null);
  byId("photo").alt = lease.file_name;
  byId("file-name").textContent = lease.file_name;
  byId("file-facts").textContent = [lease.lot, lease.width && `${lease.width} × ${lease.height}`].filter(Boolean).join(" · ") || "\u00a0";
  drawLabels(lease);
  leases.prefetch();
}

// The photo as it came, where it is finer than the preview and a browser shows it as Kizu does.
function sharpOf(lease) {
  const isFiner = Math.max(lease.width, lease.height) > PREVIEW_SIDE;
  if (!isFiner || lease.bit_depth > 8 || !SHARP_TYPES.has(lease.media_type)) return null;
  return `/api/v1/projects/${config.slug}/images/${lease.image_id}/original`;
}

function showNothingWaits() {
  levels.offer(null);
  byId("stage-title").textContent = text.nothing_title;
  byId("stage-text").textContent = text.nothing_text;
  byId("file-name").textContent = "\u00a0";
  byId("file-facts").textContent = "\u00a0";
  byId("labels").replaceChildren();
}

function showTrouble(error) {
  byId("stage-message").hidden = false;
  byId("stage-title").textContent = text.trouble;
  byId("stage-text").textContent = error.message;
}

function showUnsent(count, obstacle) {
  byId("desk").dataset.unsent = count;
  byId("unsent").hidden = !obstacle;
  byId("unsent-text").textContent = obstacle ? fill(text.unsent[obstacle], { count }) : "";
  byId("sign-in").hidden = obstacle !== "session";
}

// A hand learns places, so labels keep theirs. Only where they are too many to be seen at once, suggested
// ones come first, the surest on top; each keeps its own key wherever it stands.
function drawLabels(lease) {
  const suggestions = new Map(lease.suggestions.map((one) => [one.label, one]));
  const surety = ({ key }) => (suggestions.get(key)?.value === "present" ? suggestions.get(key).confidence : 0);
  const places = config.labels.map((label, index) => ({ label, index, surety: surety(label) }));
  if (places.length > SEEN_AT_ONCE) places.sort((one, other) => other.surety - one.surety || one.index - other.index);
  byId("labels").replaceChildren(
    ...places.map(({ label, index }) => {
      const item = document.createElement("li");
      item.append(chipOf(label, index, suggestions.get(label.key)));
      return item;
    }),
  );
  config.labels.forEach((label) => paint(label.key));
}

function chipOf(label, index, suggestion) {
  const chip = byId("chip").content.firstElementChild.cloneNode(true);
  const key = index < 9 ? String(index + 1) : (label.hotkey ?? "");
  chip.dataset.label = label.key;
  chip.querySelector("kbd").textContent = key;
  chip.querySelector("kbd").hidden = !key;
  chip.querySelector("circle").setAttribute("fill", label.colour);
  chip.querySelector(".label-name").textContent = label.name;
  const confidence = chip.querySelector(".confidence");
  confidence.hidden = !suggestion;
  if (suggestion) {
    confidence.dataset.suggested = suggestion.value;
    const words = suggestion.value === "present" ? text.suggested : text.suggested_absent;
    confidence.querySelector("span").textContent = fill(words, { percent: Math.round(suggestion.confidence * 100) });
    confidence.querySelector("meter").value = suggestion.confidence;
  }
  onHold(chip, () => toggle(label.key, true));
  chip.addEventListener("click", (event) => toggle(label.key, event.shiftKey));
  return chip;
}

function paint(key) {
  const chip = document.querySelector(`.chip[data-label="${CSS.escape(key)}"]`);
  if (!chip) return;
  const value = values[key] ?? "absent";
  chip.dataset.value = value;
  chip.setAttribute("aria-pressed", value === "present" ? "true" : value === "unsure" ? "mixed" : "false");
  chip.querySelector(".mark").textContent = { present: "✓", unsure: "?" }[value] ?? "";
}

// What the person does

function toggle(key, asUnsure) {
  const now = values[key] ?? "absent";
  const wish = asUnsure ? "unsure" : "present";
  set(key, now === wish ? "absent" : wish);
}

function set(key, value) {
  values[key] = value;
  leases.current.isAnswered = true;
  paint(key);
  clearTimeout(draftTimer);
  draftTimer = setTimeout(saveDraft, DRAFT_DELAY_MS);
}

function clear() {
  if (leases.current) config.labels.forEach((label) => set(label.key, "absent"));
}

function showNextHeat() {
  const explained = (leases.current?.suggestions ?? []).filter((one) => one.heat_map);
  if (!explained.length) return say(text.no_heat);
  heat = (heat + 1) % (explained.length + 1);
  if (!heat) {
    hideHeat();
    return say("");
  }
  const { label: key, heat_map: address } = explained[heat - 1];
  const label = config.labels.find((one) => one.key === key);
  markExplained(key);
  say(fill(text.heat, { label: label.name }));
  overlay.show(address, label.colour).then((isThere) => isThere || say(text.no_heat));
}

function hideHeat() {
  heat = 0;
  overlay.hide();
  markExplained(null);
}

function markExplained(key) {
  for (const chip of document.querySelectorAll(".chip")) chip.toggleAttribute("data-explained", chip.dataset.label === key);
}

function submissionOf(lease) {
  const decided = new Set();
  const decisions = [];
  for (const suggestion of lease.suggestions) {
    const value = values[suggestion.label] ?? "absent";
    if (value === "unsure") continue;
    decided.add(suggestion.label);
    decisions.push({ pseudo_label_id: suggestion.id, verdict: value === suggestion.value ? "accept" : "reject" });
  }
  const additions = Object.fromEntries(
    config.labels.map(({ key }) => [key, values[key]]).filter(([key, value]) => value && !decided.has(key)),
  );
  return { token: lease.token, decisions, additions, is_complete: true, active_seconds: clock.seconds };
}

function workOn(lease) {
  const { image_id, file_name, token } = lease;
  return { image_id, file_name, token, values: { ...values }, active_seconds: clock.seconds };
}

function submit() {
  const lease = leases.current;
  if (!lease) return;
  clearTimeout(draftTimer);
  outbox.add({ ...workOn(lease), path: `${leases.reviews}/leases/${lease.image_id}/submit`, body: submissionOf(lease) });
  advance();
}

function onSent() {
  say(text.saved);
  if (!leases.current) leases.refill();
}

function onRefused(work, error) {
  lost.show(work, isLost(error) ? text.lease_lost : error.message);
}

function advance() {
  leases.held.shift();
  show();
  leases.refill();
}

async function skip() {
  const lease = leases.current;
  if (!lease) return;
  clearTimeout(draftTimer);
  advance();
  await leases.skip(lease).catch((error) => isLost(error) || say(error.message));
  say(text.skipped);
}

async function undo() {
  await outbox.sending;
  try {
    const undone = await create(`${leases.reviews}/undo`, {});
    if (await retake(undone.image_id)) say(text.undone);
  } catch (error) {
    say(error.message);
  }
}

// The photo on the screen gives way to this one; its answers wait with it.
async function retake(imageId) {
  clearTimeout(draftTimer);
  const held = leases.current;
  const isOther = held && held.image_id !== imageId;
  if (isOther) held.draft = draft();
  const taken = await leases.retake(imageId);
  // Only now: a lease that turns out to be lost must not speak up for the photo that has just come.
  if (isOther) leases.beat(held, held.draft);
  if (taken) show();
  return Boolean(taken);
}

// Drafts, and the work of a lost lease

function draft() {
  return { values, active_seconds: clock.seconds };
}

function saveDraft() {
  if (leases.current) leases.beat(leases.current, draft());
}

async function retakeLost(work) {
  leases.held = leases.held.filter((one) => one.image_id !== work.image_id);
  if (!(await retake(work.image_id))) {
    show();
    return false;
  }
  values = { ...work.values };
  leases.current.isAnswered = true;
  config.labels.forEach((label) => paint(label.key));
  saveDraft();
  return true;
}

function forgetLost(work) {
  outbox.forget(work);
  if (leases.current?.token === work.token) advance();
  else leases.refill();
}

// Keys

const COMMANDS = {
  submit, clear, undo, skip, heat: showNextHeat,
  zoomIn: () => viewer.zoomIn(), zoomOut: () => viewer.zoomOut(), fit: () => viewer.fit(),
  help: () => byId("keys").showModal(),
};

function onKey(event) {
  if (isForeign(event)) return;
  if (document.querySelector("dialog[open]") || event.target.closest("input, select, textarea, a")) return;
  const button = event.target.closest("button");
  if (button && event.key === "Enter" && !button.matches(".chip")) return;
  const label = keys.labelOf(event);
  const command = keys.commandOf(event);
  if (!label && !command) return;
  event.preventDefault();
  const mayRepeat = command === "zoomIn" || command === "zoomOut";
  if (event.repeat && !mayRepeat) return;
  if (label && leases.current) toggle(label.key, event.shiftKey);
  else if (command) COMMANDS[command]();
}

function nameKeys() {
  for (const place of document.querySelectorAll("kbd[data-command]")) place.textContent = nameOf(keys.keys[place.dataset.command]);
}

function changeKey(button) {
  const { command } = button.dataset;
  button.textContent = text.press_key;
  const listen = (event) => {
    if (isForeign(event) || event.key === "Shift") return;
    event.preventDefault();
    event.stopPropagation();
    removeEventListener("keydown", listen, true);
    button.textContent = text.change_key;
    const owner = event.key === "Escape" ? null : keys.change(command, event);
    byId("keys-problem").textContent = owner ? fill(text.key_taken, { owner }) : "";
    nameKeys();
  };
  addEventListener("keydown", listen, true);
}

function listenToKeys() {
  document.addEventListener("keydown", onKey);
  for (const button of document.querySelectorAll("button[data-change]")) {
    button.dataset.command = button.dataset.change;
    button.addEventListener("click", () => changeKey(button));
  }
  byId("keys-reset").addEventListener("click", () => {
    keys.reset();
    nameKeys();
  });
  nameKeys();
}

async function start() {
  listenToKeys();
  for (const button of document.querySelectorAll("button[data-does]")) {
    button.addEventListener("click", COMMANDS[button.dataset.does]);
  }
  byId("order")?.addEventListener("change", (event) => leases.change({ order: event.target.value }));
  setInterval(saveDraft, 60_000);
  setInterval(() => { byId("clock").textContent = leases.current ? fill(text.seconds, { seconds: Math.floor(clock.seconds) }) : ""; }, 1000);
  outbox.resume();
  try {
    await leases.begin(show, (lease) => !outbox.holds(lease.image_id));
  } catch (error) {
    showTrouble(error);
  }
}

start();
