// Photos on their way to the server: which wait, which are being sent, and what became of each.
//
// A few batches travel at once. Before a batch is sent, the server is asked which of its photos are there.
// When nothing gets through, its photos go back to the front, and the queue tries again after growing
// waits. Nothing of the page is known here: `wire` speaks to the server, `digestOf` reads files.

const LANES = 3;
const BATCH_FILES = 20;
const BATCH_BYTES = 16 * 2 ** 20;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
const TRIES = 3;

const SETTLED = new Set(["created", "already_there", "rejected", "failed"]);
const OBSTACLES = { 0: "network", 401: "session" };
const PASSING = new Set([401, 408, 429, 502, 503, 504, 507]); // not the photos' fault, and may end by itself

export const isProblem = ({ status }) => status === "rejected" || status === "failed";
export const isRetriable = ({ status, file }) => status === "failed" && file !== null;

export class UploadQueue {
  // `limits`: the files and bytes of a request; `onChange` is told often.
  constructor({ wire, digestOf, limits, onChange }) {
    Object.assign(this, { wire, digestOf, limits, onChange });
    this.items = [];
    this.settled = []; // in the order in which they were
    this.waiting = [];
    this.trips = new Set(); // batches under way
    this.counts = { waiting: 0, sending: 0, created: 0, already_there: 0, rejected: 0, failed: 0 };
    this.bytes = { all: 0, settled: 0 };
    this.failures = 0; // since something got through
    this.obstacle = null; // why nothing gets through: { kind, detail, until }
    this.isPaused = this.isHeld = false;
  }

  get left() {
    return this.counts.waiting + this.counts.sending;
  }

  get state() {
    if (!this.left) return "done";
    if (this.isPaused) return this.trips.size && !this.isHeld ? "pausing" : "paused";
    return this.obstacle ? "held" : "sending";
  }

  get bytesDone() {
    return [...this.trips].reduce((sum, trip) => sum + trip.bytes, this.bytes.settled);
  }

  // What the person does

  add(found, capture) {
    for (const { path, file } of found) {
      const item = { path, file, capture, size: file?.size ?? 0, tries: 0 };
      this.items.push(item);
      this.bytes.all += item.size;
      if (!file) this.mark(item, "failed", { reason: "unreadable" });
      else if (item.size > this.limits.bytes) this.mark(item, "rejected", { reason: "too_heavy" });
      else this.enqueue(item);
    }
    this.go();
  }

  // What is on its way still arrives.
  pause() {
    this.isPaused = true;
    this.onChange();
  }

  resume() {
    this.isPaused = false;
    this.wake?.();
    this.go();
  }

  cancel() {
    for (const trip of this.trips) trip.abort.abort();
    const open = this.items.filter((item) => !SETTLED.has(item.status));
    for (const item of open) this.mark(item, "failed", { reason: "stopped" });
    Object.assign(this, { waiting: [], isPaused: false, obstacle: null, failures: 0 });
    this.wake?.();
  }

  retry() {
    const failed = new Set(this.settled.filter(isRetriable));
    this.settled = this.settled.filter((item) => !failed.has(item));
    for (const item of failed) {
      Object.assign(item, { tries: 0, isAlone: false });
      this.enqueue(item);
    }
    this.go();
  }

  // What the queue does

  // As many lanes as may be open: after a failure only one, until something got through again.
  go() {
    const most = this.failures ? 1 : LANES;
    while (this.mayGo && this.trips.size < most) this.travel(this.take());
    this.onChange();
  }

  get mayGo() {
    return !this.isPaused && !this.isHeld && this.waiting.length > 0;
  }

  take() {
    const batch = [];
    let room = BATCH_BYTES;
    const fits = (item) => !batch.length || (!item.isAlone && !batch[0].isAlone && item.size <= room);
    while (this.waiting.length && batch.length < Math.min(BATCH_FILES, this.limits.files) && fits(this.waiting[0])) {
      const item = this.waiting.shift();
      room -= item.size;
      batch.push(item);
      this.mark(item, "sending");
    }
    return batch;
  }

  async travel(batch) {
    const trip = { batch, bytes: 0, abort: new AbortController() };
    this.trips.add(trip);
    try {
      await this.deliver(trip);
      Object.assign(this, { failures: 0, obstacle: null });
    } catch (error) {
      if (!trip.abort.signal.aborted) await this.meet(error, trip);
    } finally {
      this.trips.delete(trip);
      this.go();
    }
  }

  async deliver(trip) {
    const { signal } = trip.abort;
    await Promise.all(trip.batch.map((item) => this.read(item)));
    signal.throwIfAborted();
    const asked = open(trip).filter((item) => item.sha256);
    const known = asked.length ? await this.wire.known(asked.map((item) => item.sha256), { signal }) : [];
    signal.throwIfAborted();
    const names = new Map(known.map((one) => [one.sha256, one.file_name]));
    for (const item of asked.filter(({ sha256 }) => names.has(sha256))) {
      this.mark(item, "already_there", { name: names.get(item.sha256) });
    }
    const missing = open(trip);
    if (!missing.length) return;
    const onBytes = (bytes) => this.note(trip, Math.min(bytes, missing.reduce((sum, item) => sum + item.size, 0)));
    this.settle(missing, await this.wire.send(missing, { signal, onBytes }));
  }

  async read(item) {
    try {
      item.sha256 ??= await this.digestOf(item.file);
    } catch {
      if (!SETTLED.has(item.status)) this.mark(item, "failed", { reason: "unreadable" });
    }
  }

  settle(items, answers) {
    answers.forEach(({ status, problem, image }, at) => {
      this.mark(items[at], status, { reason: problem?.reason, detail: problem?.detail, name: image?.file_name });
    });
  }

  // A batch came back. Whose fault it was decides what happens to its photos.
  async meet(error, trip) {
    this.settle(open(trip), error.body?.items ?? []); // those before the disk was full
    trip.bytes = 0;
    const rest = open(trip);
    const { status = 0 } = error;
    if (status === 413 && rest.length > 1) return this.putBack(rest, { isAlone: true });
    if (status >= 400 && status < 500 && !PASSING.has(status)) {
      return rest.forEach((item) => this.mark(item, "failed", { detail: error.message }));
    }
    const isSuspect = !PASSING.has(status) && (await this.wire.isReachable());
    if (trip.abort.signal.aborted) return undefined;
    this.putBack(isSuspect ? this.suspect(rest, status ? error.message : null) : rest);
    return this.hold(error, isSuspect);
  }

  // Somebody is there, but does not get these: they travel alone from now on, and not for ever.
  suspect(items, detail) {
    for (const item of items) {
      item.isAlone = true;
      item.tries += 1;
      if (item.tries >= TRIES) this.mark(item, "failed", { reason: detail ? null : "broken", detail });
    }
    return items.filter((item) => !SETTLED.has(item.status));
  }

  putBack(items, changes = {}) {
    for (const item of items) this.mark(Object.assign(item, changes), "waiting");
    this.waiting.unshift(...items);
  }

  async hold(error, isSuspect) {
    if (this.isHeld || !this.left) return;
    const ms = Math.min(FIRST_WAIT_MS * 2 ** this.failures, LONGEST_WAIT_MS);
    const kind = isSuspect ? "server" : (OBSTACLES[error.status ?? 0] ?? "server");
    Object.assign(this, { isHeld: true, failures: this.failures + 1, obstacle: { kind, detail: error.message, until: Date.now() + ms } });
    this.onChange();
    await new Promise((wake) => {
      this.wake = wake;
      setTimeout(wake, ms);
    });
    this.isHeld = false;
  }

  note(trip, bytes) {
    trip.bytes = bytes;
    this.onChange();
  }

  enqueue(item) {
    this.mark(item, "waiting");
    this.waiting.push(item);
  }

  mark(item, status, { reason = null, detail = null, name = null } = {}) {
    this.count(item, -1);
    const otherName = name && name !== item.file.name ? name : null;
    Object.assign(item, { status, reason, detail, otherName });
    this.count(item, 1);
    if (SETTLED.has(status)) this.settled.push(item);
    this.onChange();
  }

  count({ status, size }, by) {
    if (!status) return;
    this.counts[status] += by;
    if (SETTLED.has(status)) this.bytes.settled += by * size;
  }
}

const open = (trip) => trip.batch.filter((item) => !SETTLED.has(item.status));
