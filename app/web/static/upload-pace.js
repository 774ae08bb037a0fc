// How fast an upload is, from how far it was in the last seconds.

const WINDOW_MS = 10_000;

export class Pace {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.restart();
  }

  // Pauses are not part of the pace.
  restart() {
    this.marks = [];
  }

  // Bytes a second, null while too little is known.
  at(bytes) {
    const at = this.now();
    this.marks.push({ at, bytes });
    this.marks = this.marks.filter((mark) => mark.at >= at - WINDOW_MS);
    const [first] = this.marks;
    if (at - first.at < WINDOW_MS / 10 || bytes <= first.bytes) return null;
    return ((bytes - first.bytes) * 1000) / (at - first.at);
  }
}

const UNITS = [[1e9, "gigabyte"], [1e6, "megabyte"], [1e3, "kilobyte"]];
const TIMES = [[3600, "hour"], [60, "minute"], [1, "second"]];

export function rateInWords(bytesPerSecond, language) {
  const [size, unit] = UNITS.find(([least]) => bytesPerSecond >= least) ?? UNITS.at(-1);
  const form = { style: "unit", unit: `${unit}-per-second`, maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, form).format(bytesPerSecond / size);
}

export function timeInWords(seconds, language) {
  const [size, unit] = TIMES.find(([least]) => seconds >= least) ?? TIMES.at(-1);
  const form = { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 };
  return new Intl.NumberFormat(language, form).format(Math.ceil(seconds / size));
}
