// The desk where people annotate and review: one photo, its labels, keys. Over the public API only.
//
// A photo in hand is a lease. Answers are kept as `values`: label key → present | absent | unsure;
// labels that are off count as absent once the photo is submitted.

import { call, create, Problem } from "./api.js";
import { ActiveClock } from "./clock.js";
import { HeatOverlay } from "./heat.js";

const AHEAD = 6;
const HEARTBEAT_MS = 60_000;
const DRAFT_DELAY_MS = 300;
const RETRY_MS = 3_000;
const LEASE_LOST = "/problems/lease-lost";

const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("desk").dataset.config);
const reviews = `/projects/${config.slug}/reviews`;
const text = config.messages;
const clock = new ActiveClock();
const overlay = new HeatOverlay(byId("heat"), byId("photo"));

const desk = {
  waiting: [], // leases we hold, the first one on the screen
  values: {},
  heat: 0, // which of the photo's heat maps is shown: 0 none, then the first, the second, …
  unsent: 0,
  isFilling: false,
  draftTimer: null,
  lost: null,
};

const isWaiting = (imageId) => desk.waiting.some((held) => held.image_id === imageId);
const current = () => desk.waiting[0] ?? null;
const fill = (message, names) => message.replace(/\{(\w+)\}/g, (_, name) => names[name]);
const previewOf = (lease) => `/api/v1/projects/${config.slug}/images/${lease.image_id}/preview`;

// What the person sees

function say(message) {
  byId("status").textContent = message;
}

function startingValues(lease) {
  const values = { ...lease.known };
  for (const suggestion of lease.suggestions) values[suggestion.label] = suggestion.value;
  return { ...values, ...(lease.draft?.values ?? {}) };
}

function show() {
  const lease = current();
  hideHeat();
  byId("photo").hidden = !lease;
  byId("stage-message").hidden = Boolean(lease);
  for (const name of ["submit", "clear", "skip"]) byId(name).disabled = !lease;
  if (!lease) return showNothingWaits();
  desk.values = startingValues(lease);
  clock.restart(lease.draft?.active_seconds ?? 0);
  const photo = byId("photo");
  photo.src = previewOf(lease);
  photo.alt = lease.file_name;
  byId("file-name").textContent = lease.file_name;
  byId("file-facts").textContent = [lease.lot, lease.width && `${lease.width} × ${lease.height}`].filter(Boolean).join(" · ") || "\u00a0";
  drawLabels(lease);
  desk.waiting.slice(1).forEach(prefetch);
}

function showNothingWaits() {
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

function prefetch(lease) {
  if (lease.prefetched) return;
  lease.prefetched = new Image();
  lease.prefetched.src = previewOf(lease);
}

function drawLabels(lease) {
  const suggestions = new Map(lease.suggestions.map((one) => [one.label, one]));
  byId("labels").replaceChildren(
    ...config.labels.map((label, index) => {
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
  chip.addEventListener("click", (event) => toggle(label.key, event.shiftKey));
  return chip;
}

function paint(key) {
  const chip = document.querySelector(`.chip[data-label="${CSS.escape(key)}"]`);
  if (!chip) return;
  const value = desk.values[key] ?? "absent";
  chip.dataset.value = value;
  chip.setAttribute("aria-pressed", value === "present" ? "true" : value === "unsure" ? "mixed" : "false");
  chip.querySelector(".mark").textContent = { present: "✓", unsure: "?" }[value] ?? "";
}

// What the person does

function toggle(key, asUnsure) {
  const now = desk.values[key] ?? "absent";
  const wish = asUnsure ? "unsure" : "present";
  set(key, now === wish ? "absent" : wish);
}

function set(key, value) {
  desk.values[key] = value;
  paint(key);
  scheduleDraft();
}

function clear() {
  config.labels.forEach((label) => set(label.key, "absent"));
}

function showNextHeat() {
  const explained = (current()?.suggestions ?? []).filter((one) => one.heat_map);
  if (!explained.length) return say(text.no_heat);
  desk.heat = (desk.heat + 1) % (explained.length + 1);
  if (!desk.heat) {
    hideHeat();
    return say("");
  }
  const { label: key, heat_map: address } = explained[desk.heat - 1];
  const label = config.labels.find((one) => one.key === key);
  markExplained(key);
  say(fill(text.heat, { label: label.name }));
  overlay.show(address, label.colour).then((isThere) => isThere || say(text.no_heat));
}

function hideHeat() {
  desk.heat = 0;
  overlay.hide();
  markExplained(null);
}

function markExplained(key) {
  for (const chip of document.querySelectorAll(".chip")) chip.toggleAttribute("data-explained", chip.dataset.label === key);
}

function submissionOf(lease, values) {
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

function submit() {
  const lease = current();
  if (!lease) return;
  clearTimeout(desk.draftTimer);
  const work = { lease, values: { ...desk.values }, body: submissionOf(lease, desk.values), key: crypto.randomUUID() };
  countUnsent(+1);
  advance();
  desk.sending = (desk.sending ?? Promise.resolve()).then(() => deliver(work));
}

function countUnsent(change) {
  desk.unsent += change;
  byId("desk").dataset.unsent = desk.unsent;
}

async function deliver(work) {
  try {
    await deliverUntilAnswered(work);
    say(text.saved);
  } catch (error) {
    if (error.body?.type === LEASE_LOST) showLost(work);
    else say(error.message);
  } finally {
    countUnsent(-1);
    if (!current()) refill();
  }
}

async function deliverUntilAnswered(work) {
  const path = `${reviews}/leases/${work.lease.image_id}/submit`;
  for (;;) {
    try {
      return await call("POST", path, work.body, { "idempotency-key": work.key });
    } catch (error) {
      if (error instanceof Problem && error.status < 500) throw error;
      say(fill(text.unsent, { count: desk.unsent }));
      await new Promise((wake) => setTimeout(wake, RETRY_MS));
    }
  }
}

function advance() {
  desk.waiting.shift();
  show();
  refill();
}

async function skip() {
  const lease = current();
  if (!lease) return;
  clearTimeout(desk.draftTimer);
  advance();
  await create(`${reviews}/leases/${lease.image_id}/skip`, { token: lease.token }).catch(ignoreLost);
  say(text.skipped);
}

async function undo() {
  await desk.sending;
  try {
    const undone = await create(`${reviews}/undo`, {});
    await retake(undone.image_id);
    say(text.undone);
  } catch (error) {
    say(error.message);
  }
}

async function retake(imageId) {
  const taken = await takenAgain(imageId);
  if (!taken) return false;
  keepDraft(imageId);
  desk.waiting = [taken, ...desk.waiting.filter((held) => held.image_id !== imageId)];
  show();
  return true;
}

// Taking photos ahead may have brought this one back to us already.
async function takenAgain(imageId) {
  const isIt = (held) => held.image_id === imageId;
  const [taken] = await lease({ image_ids: [imageId], count: 1 });
  return taken ?? (await leasesOfMine()).find(isIt) ?? null;
}

async function leasesOfMine() {
  const held = await call("GET", `${reviews}/leases`);
  return held.items.filter((one) => one.purpose === config.purpose);
}

// Leases, drafts and the work of a lost lease

async function lease(wish) {
  const found = await create(`${reviews}/leases`, { purpose: config.purpose, ...wish });
  return found.items;
}

async function refill() {
  if (desk.isFilling || desk.waiting.length >= AHEAD / 2) return;
  desk.isFilling = true;
  try {
    const taken = await lease({ count: AHEAD });
    const wasEmpty = !current();
    desk.waiting.push(...taken.filter((one) => !isWaiting(one.image_id)));
    if (wasEmpty) show();
    else desk.waiting.slice(1).forEach(prefetch);
  } catch (error) {
    if (!current()) showTrouble(error);
  } finally {
    desk.isFilling = false;
  }
}

function scheduleDraft() {
  clearTimeout(desk.draftTimer);
  desk.draftTimer = setTimeout(() => beat(current(), draft()), DRAFT_DELAY_MS);
}

// Another photo is about to take the place of the one on the screen, whose answers wait with it.
function keepDraft(nextImageId) {
  clearTimeout(desk.draftTimer);
  const held = current();
  if (!held || held.image_id === nextImageId) return;
  held.draft = draft();
  beat(held, held.draft);
}

function draft() {
  return { values: desk.values, active_seconds: clock.seconds };
}

async function beat(held, work) {
  if (!held) return;
  const path = `${reviews}/leases/${held.image_id}/heartbeat`;
  try {
    await call("POST", path, { token: held.token, ...(work ? { draft: work } : {}) });
  } catch (error) {
    if (error.body?.type !== LEASE_LOST) return;
    if (held === current()) showLost({ lease: held, values: { ...desk.values } });
    else desk.waiting = desk.waiting.filter((one) => one !== held);
  }
}

function ignoreLost(error) {
  if (error.body?.type !== LEASE_LOST) say(error.message);
}

function showLost(work) {
  desk.lost = work;
  const stated = config.labels.filter(({ key }) => (work.values[key] ?? "absent") !== "absent");
  const lines = stated.map((label) => `${label.name}: ${text.values[work.values[label.key]]}`);
  byId("lost-draft").replaceChildren(
    ...[`${work.lease.file_name}`, ...(lines.length ? lines : [text.no_label])].map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }),
  );
  if (!byId("lost").open) byId("lost").showModal();
}

async function retakeLost() {
  const { lease: old, values } = desk.lost;
  byId("lost").close();
  if (!(await retake(old.image_id))) {
    desk.waiting = desk.waiting.filter((one) => one !== old);
    show();
    refill();
    return say(text.taken_by_other);
  }
  desk.values = values;
  config.labels.forEach((label) => paint(label.key));
  scheduleDraft();
}

function goOnWithoutLost() {
  byId("lost").close();
  desk.waiting = desk.waiting.filter((one) => one !== desk.lost.lease);
  show();
  refill();
}

// Keys. While a Japanese input method composes, nothing reaches us; full-width keys count as plain.

const COMMANDS = { enter: submit, x: clear, u: undo, s: skip, "?": () => byId("keys").showModal() };
if (config.purpose === "review") COMMANDS.h = showNextHeat;

function keyOf(event) {
  if (event.key === "Process" || event.key === "Unidentified") return event.code.replace(/^(Key|Digit)/, "").toLowerCase();
  return event.key.normalize("NFKC").toLowerCase();
}

function labelOf(event) {
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
  if (digit) return config.labels[Number(digit) - 1];
  const key = keyOf(event);
  return key in COMMANDS ? undefined : config.labels.find((label) => label.hotkey?.toLowerCase() === key);
}

function onKey(event) {
  if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || event.target.closest("input, select, textarea, a")) return;
  const button = event.target.closest("button");
  if (button && event.key === "Enter" && !button.matches(".chip")) return;
  const label = labelOf(event);
  const command = COMMANDS[keyOf(event)];
  if (!label && !command) return;
  event.preventDefault();
  if (event.repeat) return;
  if (label && current()) toggle(label.key, event.shiftKey);
  else if (command) command();
}

async function start() {
  document.addEventListener("keydown", onKey);
  for (const [id, act] of Object.entries({ submit, clear, undo, skip, help: COMMANDS["?"] })) byId(id).addEventListener("click", act);
  byId("lost-retake").addEventListener("click", retakeLost);
  byId("lost-continue").addEventListener("click", goOnWithoutLost);
  byId("lost").addEventListener("cancel", (event) => event.preventDefault());
  window.addEventListener("beforeunload", (event) => desk.unsent && event.preventDefault());
  setInterval(() => desk.waiting.forEach((held, index) => beat(held, index === 0 ? draft() : undefined)), HEARTBEAT_MS);
  setInterval(() => { byId("clock").textContent = current() ? fill(text.seconds, { seconds: Math.floor(clock.seconds) }) : ""; }, 1000);
  try {
    desk.waiting = await leasesOfMine();
    show();
    await refill();
  } catch (error) {
    showTrouble(error);
  }
}

start();
