// Live progress of jobs, by server-sent events; a job that ends reloads the page once.

import { call } from "./api.js";
import { drawCourse } from "./course.js";

const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const EVENTS = ["message", "job", "progress", "state"];

// A stage may carry its own share: "Reading photos (40%)".
function nameOf(place, stage) {
  const [, name, share] = /^(.*?)( \(\d+%\))?$/.exec(stage ?? "");
  return (JSON.parse(place.dataset.stages)[name] ?? name) + (share ?? "");
}

function timeLeft(place, seconds) {
  if (seconds == null) return "";
  const minutes = Math.ceil(seconds / 60);
  if (minutes <= 1) return place.dataset.etaSoon;
  if (minutes < 100) return place.dataset.etaMinutes.replace("{minutes}", minutes);
  return place.dataset.etaHours.replace("{hours}", Math.round(minutes / 6) / 10);
}

function draw(place, job) {
  place.querySelector("[data-job-progress]").value = job.progress ?? 0;
  const doing = job.cancel_requested ? place.dataset.stopping : nameOf(place, job.stage);
  const left = job.cancel_requested ? "" : timeLeft(place, job.eta_seconds);
  place.querySelector("[data-job-stage]").textContent = [doing, left].filter(Boolean).join(" · ");
  place.querySelector("[data-job-state]").textContent = place.dataset[job.state] ?? job.state;
}

function follow(place) {
  const stream = new EventSource(`/api/v1/jobs/${place.dataset.job}/events`);
  const onEvent = (event) => {
    const job = JSON.parse(event.data);
    if (!job.state) return;
    draw(place, job);
    if ("course" in place.dataset) drawCourse(job.metrics?.course);
    if (!ENDED.has(job.state)) return;
    stream.close();
    window.location.reload();
  };
  for (const name of EVENTS) stream.addEventListener(name, onEvent);
}

async function showLog(place) {
  const found = await call("GET", `/jobs/${place.dataset.job}/log?order=newest`);
  const log = document.getElementById("log");
  const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: log.dataset.timeZone });
  const lines = found.items.reverse().map((line) => `${clock.format(new Date(line.at))}  ${line.message}`);
  log.textContent = lines.join("\n");
  log.scrollTop = log.scrollHeight;
}

for (const place of document.querySelectorAll("[data-job]")) {
  if ("active" in place.dataset) place.querySelector("[data-job-stage]").textContent = nameOf(place, place.dataset.stage);
  if ("active" in place.dataset) follow(place);
  if ("course" in place.dataset) drawCourse(JSON.parse(place.dataset.course));
  if ("log" in place.dataset) {
    showLog(place);
    if ("active" in place.dataset) setInterval(() => showLog(place), 3000);
  }
}
