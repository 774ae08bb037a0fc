// Active time: counts while the page is in view and somebody touched it in the last 60 seconds.

const IDLE_AFTER_MS = 60_000;
const INPUTS = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"];

export class ActiveClock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.restart();
    for (const name of INPUTS) document.addEventListener(name, () => this.touch(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => this.look());
  }

  restart(seconds = 0) {
    this.total = seconds * 1000;
    this.lastInput = this.now();
    this.countedTo = this.lastInput;
    this.inView = document.visibilityState === "visible";
  }

  touch() {
    this.count();
    this.lastInput = this.now();
    this.countedTo = this.lastInput;
  }

  look() {
    this.count();
    this.inView = document.visibilityState === "visible";
    this.countedTo = this.now();
  }

  count() {
    const end = Math.min(this.now(), this.lastInput + IDLE_AFTER_MS);
    if (this.inView && end > this.countedTo) {
      this.total += end - this.countedTo;
      this.countedTo = end;
    }
  }

  get seconds() {
    this.count();
    return Math.round(this.total) / 1000;
  }
}
