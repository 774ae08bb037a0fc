// What a person sees of an upload: how far it is, how fast, what holds it up, and the results.
//
// Drawn a few times a second at most, and never more rows than somebody reads: ten thousand photos must
// not freeze the page.

import { Pace, rateInWords, timeInWords } from "./upload-pace.js";
import { isProblem, isRetriable } from "./upload-queue.js";

const DRAW_EVERY_MS = 250;
const MOST_ROWS = 200;
const LOOKS = { created: "good", already_there: "", rejected: "bad", failed: "bad" };

const byId = (id) => document.getElementById(id);
const language = document.documentElement.lang;
const fill = (message, names) => message.replace(/\{(\w+)\}/g, (_, name) => names[name]);
const number = (value) => value.toLocaleString(language);

export class UploadPanel {
  constructor(text, report) {
    Object.assign(this, { text, report, pace: new Pace(), rows: new WeakMap(), drawn: null, timer: null });
    this.isReading = false; // a folder is still being read
    this.onlyProblems = false;
  }

  // Soon, and not for every change.
  tell(queue) {
    this.queue = queue;
    this.timer ??= setTimeout(() => this.draw(), DRAW_EVERY_MS);
  }

  // "problems", or all
  show(which) {
    this.onlyProblems = which === "problems";
    byId("upload-results").scrollTop = 0;
    this.draw();
  }

  get isBusy() {
    return this.isReading || this.queue?.left > 0;
  }

  draw() {
    this.timer = null;
    byId("upload-progress").hidden = this.queue.items.length === 0 && !this.isReading;
    this.drawState();
    this.drawProgress();
    this.drawTally();
    this.drawActions();
    this.drawRows();
    if (this.queue.state === "held") this.tell(this.queue); // its countdown goes on
  }

  get state() {
    return this.isReading && this.queue.state === "done" ? "reading" : this.queue.state;
  }

  drawState() {
    const { obstacle } = this.queue;
    const isHeld = this.state === "held";
    say("upload-state", isHeld ? fill(this.text.obstacles[obstacle.kind], obstacle) : this.text.states[this.state]);
    byId("upload-state").dataset.state = this.state;
    const seconds = isHeld ? Math.max(0, Math.ceil((obstacle.until - Date.now()) / 1000)) : 0;
    say("upload-retry-in", seconds ? fill(this.text.retry_in, { seconds: number(seconds) }) : "");
    byId("upload-sign-in").hidden = !(isHeld && obstacle.kind === "session");
  }

  drawProgress() {
    const { settled, items, bytes, bytesDone } = this.queue;
    byId("upload-bar").value = items.length ? (bytes.all ? bytesDone / bytes.all : 1) : 0;
    say("upload-count", fill(this.text.count, { done: number(settled.length), all: number(items.length) }));
    if (this.state !== "sending") this.pace.restart();
    const rate = this.state === "sending" ? this.pace.at(bytesDone) : null;
    const names = rate && { rate: rateInWords(rate, language), time: timeInWords((bytes.all - bytesDone) / rate, language) };
    say("upload-pace", names ? fill(this.text.pace, names) : "");
  }

  drawTally() {
    for (const [status, count] of Object.entries(this.queue.counts)) {
      const tag = document.querySelector(`[data-tally="${status}"]`);
      if (!tag) continue;
      tag.hidden = !count;
      tag.querySelector("strong").textContent = number(count);
    }
  }

  drawActions() {
    const isAtWork = this.queue.left > 0;
    const isStill = this.queue.isPaused || this.state === "held";
    byId("upload-pause").hidden = !isAtWork || this.queue.isPaused;
    byId("upload-resume").hidden = !isAtWork || !isStill;
    byId("upload-resume").textContent = this.queue.isPaused ? this.text.resume : this.text.try_now;
    byId("upload-cancel").hidden = !this.isBusy;
    byId("upload-retry").hidden = isAtWork || !this.queue.settled.some(isRetriable);
    byId("upload-csv").hidden = !this.queue.settled.length;
    byId("upload-done").hidden = this.isBusy || !this.queue.items.length;
  }

  // A list that somebody has scrolled is being read; it stays as it is until all is done.
  drawRows() {
    const list = byId("upload-results");
    const newest = `${this.queue.settled.length} ${this.onlyProblems}`;
    if (newest === this.drawn || (this.isBusy && list.scrollTop > 0)) return;
    this.drawn = newest;
    const wanted = this.onlyProblems ? this.queue.settled.filter(isProblem) : this.queue.settled;
    const shown = wanted.slice(-MOST_ROWS).reverse();
    list.replaceChildren(...shown.map((item) => this.rowOf(item)));
    const names = { shown: number(shown.length), all: number(wanted.length) };
    say("upload-capped", wanted.length > shown.length ? fill(this.text.capped, names) : "");
    byId("upload-none").hidden = shown.length > 0 || !this.onlyProblems;
    for (const button of document.querySelectorAll("[data-show]")) {
      button.setAttribute("aria-pressed", (button.dataset.show === "problems") === this.onlyProblems);
    }
  }

  rowOf(item) {
    const known = this.rows.get(item);
    if (known?.dataset.status === item.status) return known;
    const row = byId("upload-row").content.firstElementChild.cloneNode(true);
    row.dataset.status = item.status;
    row.querySelector(".tag").textContent = this.report.result(item);
    if (LOOKS[item.status]) row.querySelector(".tag").classList.add(LOOKS[item.status]);
    row.querySelector(".name").textContent = item.path;
    row.querySelector(".name").title = item.path;
    row.querySelector(".why").textContent = this.report.reason(item);
    this.rows.set(item, row);
    return row;
  }
}

// Only what is new, so that a screen reader hears it once.
function say(id, words) {
  if (byId(id).textContent !== words) byId(id).textContent = words;
}
