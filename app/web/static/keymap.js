// Which key does what. People may change it; their choice stays in this browser.
//
// While a Japanese input method composes, nothing reaches us; full-width keys count as plain.

const DIGIT = /^(?:Digit|Numpad)([1-9])$/;
const NAMES = { enter: "Enter", escape: "Esc", arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", " ": "Space" };
const ALIKE = { "=": "+", ";": "+", _: "-" }; // unshifted plus on US and Japanese keyboards

export const nameOf = (key) => NAMES[key] ?? key;

export function keyOf(event) {
  const isHidden = event.key === "Process" || event.key === "Unidentified";
  const key = isHidden ? event.code.replace(/^(Key|Digit)/, "") : event.key.normalize("NFKC");
  return key.toLowerCase();
}

export const isForeign = (event) =>
  event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey;

export class KeyMap {
  // `usual` gives each command its key; `labels` have keys of their own.
  constructor(place, usual, labels) {
    Object.assign(this, { place, usual, labels });
    const known = Object.entries(JSON.parse(localStorage.getItem(place) ?? "{}"));
    this.keys = { ...usual, ...Object.fromEntries(known.filter(([command]) => command in usual)) };
  }

  labelOf(event) {
    const digit = DIGIT.exec(event.code)?.[1];
    if (digit) return this.labels[Number(digit) - 1];
    return this.commandOf(event) ? undefined : this.labels.find((label) => label.hotkey?.toLowerCase() === keyOf(event));
  }

  commandOf(event) {
    const key = keyOf(event);
    return this.having(key) ?? this.having(ALIKE[key]);
  }

  having(key) {
    return Object.keys(this.keys).find((command) => this.keys[command] === key);
  }

  // The name of what has this key already, null once the command has it.
  change(command, event) {
    const key = keyOf(event);
    const label = this.labels.find((one) => one.hotkey?.toLowerCase() === key);
    const owner = this.having(key);
    if (/^[1-9]$/.test(key)) return key;
    if (label) return label.name;
    if (owner && owner !== command) return nameOf(key);
    this.keys[command] = key;
    localStorage.setItem(this.place, JSON.stringify(this.keys));
    return null;
  }

  reset() {
    this.keys = { ...this.usual };
    localStorage.removeItem(this.place);
  }
}
