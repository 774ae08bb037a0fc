// Upload by choosing or dropping files and folders: in batches, with a result for each file.

import { answer } from "./api.js";

const section = document.getElementById("upload");
const BATCH_FILES = 20;
const CAPTURE_FIELDS = ["line", "station", "camera", "lot", "part"];
const byId = (id) => document.getElementById(id);

function batchesOf(files) {
  const limits = { files: Math.min(BATCH_FILES, Number(section.dataset.maxFiles)), bytes: Number(section.dataset.maxBytes) * 0.9 };
  const batches = [];
  let room = null;
  for (const file of files) {
    if (!room || room.files === 0 || room.bytes < file.size) {
      room = { ...limits };
      batches.push([]);
    }
    room.files -= 1;
    room.bytes -= file.size;
    batches.at(-1).push(file);
  }
  return batches;
}

function capture() {
  const entries = CAPTURE_FIELDS.map((name) => [name, byId("upload-form").elements[name].value.trim()]);
  return Object.fromEntries(entries.filter(([, value]) => value));
}

async function send(batch) {
  const form = new FormData();
  for (const file of batch) form.append("files", file, file.name);
  form.append("metadata", JSON.stringify(capture()));
  return answer(await fetch(`/api/v1/projects/${section.dataset.slug}/images`, {
    method: "POST", body: form, headers: { accept: "application/json" },
  }));
}

function report(name, kind, detail) {
  const item = document.createElement("li");
  const tag = document.createElement("span");
  tag.className = `tag ${{ created: "good", already_there: "", rejected: "bad", failed: "bad" }[kind]}`;
  tag.textContent = section.dataset[kind];
  const title = document.createElement("span");
  title.className = "name";
  title.textContent = name;
  const why = document.createElement("span");
  why.className = "muted";
  why.textContent = detail ?? "";
  item.append(tag, title, why);
  item.dataset.status = kind;
  byId("upload-results").prepend(item);
}

async function upload(files) {
  if (files.length === 0) return;
  byId("upload-progress").hidden = false;
  byId("upload-done").hidden = true;
  let done = 0;
  const count = () => {
    byId("upload-bar").value = done / files.length;
    byId("upload-count").textContent = section.dataset.progress.replace("{done}", done).replace("{all}", files.length);
  };
  count();
  for (const batch of batchesOf(files)) {
    try {
      const result = await send(batch);
      for (const item of result.items) report(item.file_name, item.status, item.problem?.detail);
    } catch (error) {
      for (const file of batch) report(file.name, "failed", error.message);
    }
    done += batch.length;
    count();
  }
  byId("upload-done").hidden = false;
}

// Dropped folders come as a tree; browsers hand out a folder's entries in portions.

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((found, failed) => entry.file(found, failed))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const portion = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (portion.length === 0) return files;
    for (const inner of portion) files.push(...(await filesIn(inner)));
  }
}

async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

function start() {
  const drop = byId("drop");
  byId("open-upload").addEventListener("click", () => {
    section.hidden = !section.hidden;
    if (!section.hidden) byId("files").focus();
  });
  byId("files").addEventListener("change", (event) => upload([...event.target.files]));
  byId("upload-form").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("is-over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    upload(await droppedFiles(event.dataTransfer));
  });
}

if (section) start();
