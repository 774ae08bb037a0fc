// Files out of dropped or chosen folders, in portions: sending begins while a large folder is still
// being read. Each is { path, file }; `file` is null where the browser could not read it.

const PORTION = 100;
const OF_THE_SYSTEM = /^(?:\.|thumbs\.db$|desktop\.ini$)/i; // nobody took these with a camera

const isAnybodys = ({ name }) => !OF_THE_SYSTEM.test(name);

export function chosenFiles(list) {
  return [...list].filter(isAnybodys).map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

// To be called while the drop is being handled: a browser takes its entries back afterwards.
export function droppedFiles(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry());
  return entries.every(Boolean) ? filesAmong(entries) : [chosenFiles(transfer.files)];
}

async function* filesAmong(entries) {
  const files = entries.filter((entry) => entry.isFile && isAnybodys(entry));
  for (let at = 0; at < files.length; at += PORTION) {
    yield await Promise.all(files.slice(at, at + PORTION).map(fileOf));
  }
  for (const folder of entries.filter((entry) => entry.isDirectory && isAnybodys(entry))) yield* filesIn(folder);
}

async function* filesIn(folder) {
  const reader = folder.createReader();
  for (;;) {
    let portion;
    try {
      portion = await new Promise((found, failed) => reader.readEntries(found, failed));
    } catch {
      yield [{ path: pathOf(folder), file: null }];
      return;
    }
    if (portion.length === 0) return;
    yield* filesAmong(portion);
  }
}

async function fileOf(entry) {
  const file = await new Promise((found) => entry.file(found, () => found(null)));
  return { path: pathOf(entry), file };
}

const pathOf = (entry) => entry.fullPath.replace(/^\//, "");
