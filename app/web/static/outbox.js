// Submissions on their way to the server, one after another, however long that takes.
//
// Each is kept in the browser until the server has taken it or somebody has seen why it did not, so
// a reload, a crash, a lost network or an ended session loses nothing. Each has an idempotency key:
// sent twice, or by two windows, it counts once.

import { call, newKey, Problem } from "./api.js";

const RETRY_MS = 3_000;
const SIGNED_OUT = 401;
const TOO_MANY = 429;

export class Outbox {
  // `place` names what is kept here, one person's own. `onCount` hears how many wait and what holds
  // them up ("network", "session" or null), `onSent` and `onRefused` what became of each.
  constructor(place, { onCount, onSent, onRefused }) {
    Object.assign(this, { place: `${place}:`, onCount, onSent, onRefused, waiting: new Map(), obstacle: null });
    this.sending = Promise.resolve();
    addEventListener("online", () => this.wake?.());
  }

  // What an earlier page could not send any more.
  resume() {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(this.place));
    const kept = names.map((name) => JSON.parse(localStorage.getItem(name)));
    kept.sort((one, other) => one.at - other.at).forEach((work) => this.queue(work));
  }

  add(work) {
    const kept = { ...work, key: newKey(), at: Date.now() };
    localStorage.setItem(this.place + kept.key, JSON.stringify(kept));
    this.queue(kept);
  }

  holds(imageId) {
    return [...this.waiting.values()].some((work) => work.image_id === imageId);
  }

  queue(work) {
    this.waiting.set(work.key, work);
    this.tell();
    this.sending = this.sending.then(() => this.deliver(work));
  }

  async deliver(work) {
    let problem = null;
    try {
      await this.deliverUntilAnswered(work);
      this.forget(work);
    } catch (error) {
      problem = error;
    }
    this.waiting.delete(work.key);
    this.tell();
    if (problem) this.onRefused(work, problem);
    else this.onSent(work);
  }

  async deliverUntilAnswered(work) {
    for (;;) {
      try {
        await call("POST", work.path, work.body, { "idempotency-key": work.key });
        return this.meet(null);
      } catch (error) {
        const status = error instanceof Problem ? error.status : 0;
        if (status >= 400 && status < 500 && status !== SIGNED_OUT && status !== TOO_MANY) throw error;
        this.meet(status === SIGNED_OUT ? "session" : "network");
        await new Promise((wake) => {
          this.wake = wake;
          setTimeout(wake, RETRY_MS);
        });
      }
    }
  }

  // The person has seen what became of a refused one.
  forget(work) {
    localStorage.removeItem(this.place + work.key);
  }

  meet(obstacle) {
    this.obstacle = obstacle;
    this.tell();
  }

  tell() {
    this.onCount(this.waiting.size, this.obstacle);
  }
}
