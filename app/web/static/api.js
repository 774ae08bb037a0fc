// The public REST API as pages call it: JSON in, JSON out, problems as errors. Nothing of the page.

export class Problem extends Error {
  constructor(body, status) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.body = body;
    this.status = status;
  }
}

export async function call(method, path, body, headers = {}) {
  const response = await fetch(`/api/v1${path}`, {
    method,
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return answer(response);
}

export async function answer(response) {
  const text = await response.text();
  const content = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Problem(content ?? {}, response.status);
  return content;
}

export function create(path, body) {
  return call("POST", path, body, { "idempotency-key": newKey() });
}

// `crypto.randomUUID` is for secure contexts only; in a plant Kizu may be reached over plain HTTP.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
