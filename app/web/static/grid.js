// Grid review: photos of one suggested label side by side. Over the public API only.
//
// Selected ones are accepted or rejected together; every action can be taken back, the newest first.

import { call, create } from "./api.js";
import { ActiveClock } from "./clock.js";
import { isForeign, keyOf } from "./keymap.js";

const PAGE = 60;
const BATCH = 500; // decisions a request
const HEIGHT = 100; // of the histogram's highest bar

const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("grid").dataset.config);
const text = config.messages;
const suggestions = `/projects/${config.slug}/pseudo-labels`;
const clock = new ActiveClock();

let items = []; // pseudo-labels in the order of their tiles
let cursor = null;
let bins = [];
let anchor = 0; // where a range begins
let painting = null; // while the mouse is down: whether it selects or deselects
let isBusy = false;
let turn = Promise.resolve();
const selected = new Set();
const done = []; // annotation ids of each action

const fill = (message, names) => message.replace(/\{(\w+)\}/g, (_, name) => names[name]);
const percent = (share, digits = 0) => (share * 100).toLocaleString(document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const tiles = () => [...byId("tiles").children];
const wanted = () => ({ label: config.label, value: config.value });
const query = (parameters) => new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null));

function say(message) {
  byId("status").textContent = message;
}

// Photos

async function loadMore() {
  const found = await call("GET", `${suggestions}?${query({ ...wanted(), order: config.order, limit: PAGE, cursor })}`);
  cursor = found.next_cursor;
  const known = new Set(items.map((one) => one.id));
  for (const item of found.items.filter((one) => !known.has(one.id))) {
    items.push(item);
    byId("tiles").append(tileOf(item));
  }
  byId("more").hidden = !cursor;
  if (!document.activeElement?.closest("#tiles")) letFocus(0);
}

function tileOf(item) {
  const tile = byId("tile").content.firstElementChild.cloneNode(true);
  tile.dataset.id = item.id;
  tile.querySelector("img").src = `/api/v1/projects/${config.slug}/images/${item.image_id}/thumbnail`;
  tile.querySelector("span").textContent = `${percent(item.confidence)}%`;
  tile.setAttribute("aria-label", fill(text.tile, { percent: percent(item.confidence) }));
  return tile;
}

function remove(ids) {
  items = items.filter((one) => !ids.has(one.id));
  for (const tile of tiles()) if (ids.has(tile.dataset.id)) tile.remove();
  ids.forEach((id) => selected.delete(id));
  anchor = Math.min(anchor, Math.max(items.length - 1, 0));
  letFocus(anchor);
  tell();
}

async function reload() {
  items = [];
  cursor = null;
  selected.clear();
  byId("tiles").replaceChildren();
  await Promise.all([loadMore(), loadHistogram()]);
  tell();
}

// Selection

function select(index, isOn) {
  const tile = tiles()[index];
  if (!tile) return;
  if (isOn) selected.add(tile.dataset.id);
  else selected.delete(tile.dataset.id);
  tile.setAttribute("aria-selected", isOn);
}

function selectRange(to) {
  const [first, last] = [Math.min(anchor, to), Math.max(anchor, to)];
  for (let index = first; index <= last; index += 1) select(index, true);
}

function tell() {
  byId("nothing").hidden = items.length > 0 || Boolean(cursor);
  byId("selected").textContent = fill(text.selected, { count: selected.size });
  for (const id of ["accept", "reject"]) byId(id).disabled = !selected.size || isBusy;
  byId("undo").disabled = !done.length || isBusy;
}

// One tile can be reached by Tab, the arrows move among them.
function letFocus(index, isMoving = false) {
  tiles().forEach((tile, at) => { tile.tabIndex = at === index ? 0 : -1; });
  if (isMoving) tiles()[index]?.focus();
}

const indexOf = (element) => tiles().indexOf(element?.closest("li"));

function onPointerDown(event) {
  const index = indexOf(event.target);
  if (index < 0 || event.button !== 0 || event.pointerType === "touch") return;
  event.preventDefault();
  letFocus(index, true);
  if (event.shiftKey) selectRange(index);
  else {
    painting = !selected.has(items[index].id);
    select(index, painting);
    anchor = index;
  }
  tell();
}

// A finger that moves scrolls; one that taps selects.
function onTap(event) {
  const index = indexOf(event.target);
  if (index < 0 || event.pointerType !== "touch") return;
  select(index, !selected.has(items[index].id));
  anchor = index;
  tell();
}

function onPointerOver(event) {
  const index = indexOf(event.target);
  if (painting === null || index < 0) return;
  select(index, painting);
  tell();
}

const columns = () => getComputedStyle(byId("tiles")).gridTemplateColumns.split(" ").length;

function onArrow(event, steps) {
  const from = indexOf(document.activeElement);
  const to = Math.min(Math.max(from + steps, 0), items.length - 1);
  if (event.shiftKey) selectRange(to);
  else anchor = to;
  letFocus(to, true);
  tell();
}

// Decisions

async function decide(verdict, chosen) {
  const body = { items: chosen.map((id) => ({ pseudo_label_id: id, verdict })), active_seconds: clock.seconds };
  clock.restart();
  const answer = await create(`${suggestions}/decisions`, body);
  return answer.items;
}

// One thing after another: a key pressed meanwhile waits for its turn. What goes wrong is said and
// leaves the photos where they are.
function working(act) {
  turn = turn.then(() => run(act));
  return turn;
}

async function run(act) {
  isBusy = true;
  tell();
  try {
    await act();
  } catch (error) {
    say(error.message);
  }
  isBusy = false;
  tell();
}

const annotationsOf = (answered) => [...new Set(answered.map((one) => one.annotation_id).filter(Boolean))];

function decideSelected(verdict) {
  const wished = new Set(selected);
  return working(async () => {
    const chosen = items.map((one) => one.id).filter((id) => wished.has(id));
    if (!chosen.length) return;
    const answered = await decide(verdict, chosen);
    finish(annotationsOf(answered), verdict, answered);
    remove(new Set(chosen));
    if (items.length < PAGE / 2 && cursor) await loadMore();
    await loadHistogram();
  });
}

function finish(annotations, verdict, answered) {
  if (annotations.length) done.push(annotations);
  const failed = answered.find((one) => one.detail);
  say(failed ? failed.detail : fill(text[verdict], { count: annotations.length }));
}

function acceptAbove() {
  const threshold = Number(byId("threshold").value);
  const { count } = above(threshold);
  if (!count || !window.confirm(fill(text.confirm, { count, percent: percent(threshold) }))) return undefined;
  return working(async () => {
    const made = [];
    const tried = new Set();
    for (;;) {
      const asked = { ...wanted(), min_confidence: threshold, limit: BATCH };
      const found = await call("GET", `${suggestions}?${query(asked)}`);
      const chosen = found.items.map((one) => one.id).filter((id) => !tried.has(id));
      if (!chosen.length) break;
      chosen.forEach((id) => tried.add(id));
      made.push(...annotationsOf(await decide("accept", chosen)));
      say(fill(text.accept, { count: made.length }));
    }
    finish(made, "accept", []);
    await reload();
  });
}

function undo() {
  return working(async () => {
    const newest = done.at(-1);
    if (!newest) return;
    while (newest.length) {
      await create(`${suggestions}/decisions/undo`, { annotation_ids: newest.slice(-BATCH) });
      newest.splice(-BATCH);
    }
    done.pop();
    say(text.undone);
    await reload();
  });
}

// The histogram and its threshold

async function loadHistogram() {
  bins = (await call("GET", `${suggestions}/histogram?${query(wanted())}`)).bins;
  drawHistogram();
}

function above(threshold) {
  const counted = bins.filter((bin) => bin.low >= threshold - 1e-9);
  const sum = (name) => counted.reduce((total, bin) => total + bin[name], 0);
  return { count: sum("count"), wrong: sum("expected_wrong"), all: bins.reduce((total, bin) => total + bin.count, 0) };
}

function drawHistogram() {
  const threshold = Number(byId("threshold").value);
  const highest = Math.max(...bins.map((bin) => bin.count), 1);
  byId("bars").replaceChildren(...bins.map((bin) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = (bin.count / highest) * HEIGHT;
    const place = { x: (bin.low - 0.5) * 1000 + 0.5, y: HEIGHT - height, width: 9, height };
    Object.entries(place).forEach(([name, value]) => bar.setAttribute(name, value));
    bar.classList.toggle("is-above", bin.low >= threshold - 1e-9);
    return bar;
  }));
  const { count, wrong, all } = above(threshold);
  const names = { percent: percent(threshold), count, all, wrong: wrong.toFixed(1), share: percent(count ? wrong / count : 0, 1) };
  byId("estimate").textContent = fill(count ? text.estimate : text.none_above, names);
  const kept = config.promises.filter((one) => one.threshold <= threshold).at(0);
  byId("promise").textContent = kept ? fill(text.promise, { share: percent(kept.share) }) : text.no_promise;
  byId("accept-above").textContent = fill(text.accept_above, { count });
  byId("accept-above").disabled = !count;
}

// Keys

const KEYS = {
  arrowleft: (event) => onArrow(event, -1),
  arrowright: (event) => onArrow(event, 1),
  arrowup: (event) => onArrow(event, -columns()),
  arrowdown: (event) => onArrow(event, columns()),
  " ": (event) => {
    const index = indexOf(event.target);
    if (index < 0) return;
    select(index, !selected.has(items[index].id));
    anchor = index;
    tell();
  },
  a: () => decideSelected("accept"),
  x: () => decideSelected("reject"),
  u: undo,
  escape: () => {
    tiles().forEach((_, index) => select(index, false));
    tell();
  },
};

function selectAll() {
  tiles().forEach((_, index) => select(index, true));
  tell();
}

function onKey(event) {
  const isInField = event.target.closest("input, select, textarea, a");
  if (!isInField && (event.ctrlKey || event.metaKey) && keyOf(event) === "a") {
    event.preventDefault();
    return selectAll();
  }
  const act = KEYS[keyOf(event)];
  if (!act || isForeign(event) || isInField) return undefined;
  if (event.target.closest("button") && event.key === " ") return undefined;
  event.preventDefault();
  return act(event);
}

async function start() {
  document.addEventListener("keydown", onKey);
  byId("tiles").addEventListener("pointerdown", onPointerDown);
  byId("tiles").addEventListener("pointerover", onPointerOver);
  byId("tiles").addEventListener("click", onTap);
  addEventListener("pointerup", () => { painting = null; });
  byId("threshold").addEventListener("input", drawHistogram);
  byId("accept").addEventListener("click", () => decideSelected("accept"));
  byId("reject").addEventListener("click", () => decideSelected("reject"));
  byId("accept-above").addEventListener("click", acceptAbove);
  byId("undo").addEventListener("click", undo);
  byId("all").addEventListener("click", selectAll);
  byId("more").addEventListener("click", () => loadMore().catch((error) => say(error.message)));
  for (const field of document.querySelectorAll("#choice select")) field.addEventListener("change", () => field.form.requestSubmit());
  await reload().catch((error) => say(error.message));
}

start();
