// What became of each photo of an upload: in words, and as a table for a spreadsheet.

const FORMULA = /^[=+\-@\t\r]/; // a file may be called what a spreadsheet would run
const BYTE_ORDER_MARK = "\ufeff"; // Excel takes UTF-8 for something else without it

const fill = (message, names) => message.replace(/\{(\w+)\}/g, (_, name) => names[name]);

export class UploadReport {
  constructor(text, limits) {
    Object.assign(this, { text, megabytes: Math.floor(limits.bytes / 2 ** 20) });
  }

  result(item) {
    return this.text.statuses[item.status];
  }

  reason({ status, reason, detail, otherName }) {
    if (status === "already_there") return otherName ? fill(this.text.other_name, { name: otherName }) : "";
    const words = this.text.reasons[status]?.[reason];
    return words ? fill(words, { megabytes: this.megabytes }) : (detail ?? "");
  }

  toCsv(items) {
    const rows = items.map((item) => [item.path, this.result(item), this.reason(item)]);
    return BYTE_ORDER_MARK + [this.text.columns, ...rows].map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");
  }
}

function cellOf(value) {
  const plain = FORMULA.test(value) ? `'${value}` : value;
  return `"${plain.replaceAll('"', '""')}"`;
}
