// What an upload asks of the server. Every failure is a Problem; its status is 0 where nobody answered.

import { Problem } from "./api.js";

const STALLED_AFTER_MS = 120_000; // a network may go without a word

export class UploadWire {
  constructor(slug) {
    this.images = `/api/v1/projects/${slug}/images`;
  }

  // Those of these photos that are there already: their SHA-256 and the name they have there.
  known(digests, { signal }) {
    const body = JSON.stringify({ sha256: digests });
    return post(`${this.images}/known`, body, { signal, headers: { "content-type": "application/json" } });
  }

  // What became of each, in their order.
  send(items, { signal, onBytes }) {
    const form = new FormData();
    for (const { file } of items) form.append("files", file, file.name);
    form.append("metadata", JSON.stringify(items.map((item) => item.capture)));
    return post(this.images, form, { signal, onBytes });
  }

  async isReachable() {
    return fetch("/health", { cache: "no-store" }).then(() => true, () => false);
  }
}

// The SHA-256 of a file; null where browsers do not compute any, which is over plain HTTP from another
// machine. Throws when the file cannot be read any more.
export async function digestOf(file) {
  if (!crypto.subtle) {
    await file.slice(0, 1).arrayBuffer();
    return null;
  }
  const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// `fetch` does not tell how much of a body has left.
function post(address, body, { signal, headers = {}, onBytes = () => null }) {
  return new Promise((answered, failed) => {
    const request = new XMLHttpRequest();
    const giveUp = () => failed(new Problem({}, 0));
    let stalled = setTimeout(() => request.abort(), STALLED_AFTER_MS);
    request.open("POST", address);
    for (const [name, value] of Object.entries({ accept: "application/json", ...headers })) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALLED_AFTER_MS);
      onBytes(event.loaded);
    });
    request.addEventListener("load", () => {
      const content = contentOf(request);
      if (request.status >= 400) failed(new Problem(content, request.status));
      else if (content.items) answered(content.items);
      else giveUp(); // somebody else answered, such as the sign-in page of a wireless network
    });
    for (const name of ["error", "abort"]) request.addEventListener(name, giveUp);
    request.addEventListener("loadend", () => clearTimeout(stalled));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

function contentOf(request) {
  try {
    return JSON.parse(request.responseText) ?? {};
  } catch {
    return {};
  }
}
