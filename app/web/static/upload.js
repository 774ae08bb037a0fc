// Upload by choosing or dropping photos and folders: the page around the queue.

import { chosenFiles, droppedFiles } from "./folders.js";
import { UploadPanel } from "./upload-panel.js";
import { UploadQueue } from "./upload-queue.js";
import { UploadReport } from "./upload-report.js";
import { digestOf, UploadWire } from "./upload-wire.js";

const CAPTURE_FIELDS = ["line", "station", "camera", "lot", "part"];
const NOTE_EVERY_MS = 2_000;
const OTHER_WINDOW_MS = 3 * NOTE_EVERY_MS; // a note younger than this belongs to a window that is sending

const byId = (id) => document.getElementById(id);
const section = byId("upload");
const { messages: text, limits, slug, user } = JSON.parse(section.dataset.config);
const place = `kizu/${user}/${slug}/upload`;

const report = new UploadReport(text, limits);
const panel = new UploadPanel(text, report);
const queue = new UploadQueue({ wire: new UploadWire(slug), digestOf, limits, onChange: () => panel.tell(queue) });
const readings = new Set(); // drops whose folders are still being read
let isNoted = false;

// Photos come in

function capture() {
  const entries = CAPTURE_FIELDS.map((name) => [name, byId("upload-form").elements[name].value.trim()]);
  return Object.fromEntries(entries.filter(([, value]) => value));
}

// Where they were taken is what the fields say now, not when each is sent.
async function take(portions) {
  const reading = { isStopped: false };
  const taken = capture();
  section.hidden = false;
  byId("upload-interrupted").hidden = true;
  track(reading, true);
  note();
  for await (const portion of portions) {
    if (reading.isStopped) return;
    queue.add(portion, taken);
  }
  track(reading, false);
}

function track(reading, isOn) {
  if (isOn) readings.add(reading);
  else readings.delete(reading);
  panel.isReading = readings.size > 0;
  panel.tell(queue);
}

function takeChosen({ target }) {
  const files = chosenFiles(target.files);
  target.value = ""; // the same folder can be chosen again
  if (files.length) take([files]);
}

// Anywhere on the page: a browser would open a photo that misses the box, and leave the page for it.
function listenToDrops() {
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  const light = (isOver) => byId("drop").classList.toggle("is-over", isOver);
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    section.hidden = false;
    light(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || light(false));
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    light(false);
    take(droppedFiles(event.dataTransfer));
  });
}

// What a person does

function cancel() {
  for (const reading of readings) {
    reading.isStopped = true;
    track(reading, false);
  }
  queue.cancel();
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([report.toCsv(queue.settled)], { type: "text/csv" }));
  link.download = text.csv_name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function toggleSection() {
  section.hidden = !section.hidden;
  if (!section.hidden) byId("files").focus();
}

const BUTTONS = {
  "open-upload": toggleSection,
  "upload-pause": () => queue.pause(),
  "upload-resume": () => queue.resume(),
  "upload-cancel": cancel,
  "upload-retry": () => queue.retry(),
  "upload-csv": download,
  "upload-forget": forget,
};

// A closed page cannot go on, but the next one can say that something is missing.

function note(at = Date.now()) {
  if (!panel.isBusy && !isNoted) return;
  isNoted = panel.isBusy;
  if (!isNoted) return localStorage.removeItem(place);
  return localStorage.setItem(place, JSON.stringify({ done: queue.settled.length, all: queue.items.length, at }));
}

function recall() {
  const kept = JSON.parse(localStorage.getItem(place) ?? "null");
  if (!kept || Date.now() - kept.at < OTHER_WINDOW_MS) return;
  byId("upload-interrupted-text").textContent = text.interrupted.replace(/\{(\w+)\}/g, (_, name) => kept[name]);
  byId("upload-interrupted").hidden = false;
  section.hidden = false;
}

function forget() {
  localStorage.removeItem(place);
  byId("upload-interrupted").hidden = true;
}

function start() {
  recall();
  for (const [id, act] of Object.entries(BUTTONS)) byId(id).addEventListener("click", act);
  for (const id of ["files", "folder"]) byId(id).addEventListener("change", takeChosen);
  for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => panel.show(button.dataset.show));
  byId("upload-form").addEventListener("submit", (event) => event.preventDefault());
  byId("choose-folder").hidden = !("webkitdirectory" in byId("folder")); // tablets have no folders to choose
  listenToDrops();
  setInterval(() => note(), NOTE_EVERY_MS);
  addEventListener("online", () => queue.wake?.());
  addEventListener("beforeunload", (event) => panel.isBusy && event.preventDefault());
  addEventListener("pagehide", () => note(0));
}

start();
