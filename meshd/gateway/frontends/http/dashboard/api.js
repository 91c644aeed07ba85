// Asks the daemon. The key of the dashboard and the token of an app are kept for this tab only.

const KEY = "meshd-key";
const TOKEN = "meshd-token";

export class MeshError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

// `meshctl dashboard` opens the page with its key after the #, where no server sees it.
export function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
}

export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

function headers(more) {
  const found = { ...more };
  const key = sessionStorage.getItem(KEY);
  const token = sessionStorage.getItem(TOKEN);
  if (key) found["x-mesh-dashboard-key"] = key;
  if (token) found["authorization"] = `Bearer ${token}`;
  return found;
}

async function errorOf(response) {
  let said = null;
  try {
    said = (await response.json()).error;
  } catch {
    // Not the daemon's own answer.
  }
  return new MeshError(said?.message ?? `The daemon answered ${response.status}.`, said?.code ?? "", response.status);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new MeshError("The daemon does not answer. It may be restarting.", "unreachable", 0);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function get(path, query = {}) {
  const suffix = new URLSearchParams(query).toString();
  const response = await ask(`/mesh/v1/${path}${suffix ? `?${suffix}` : ""}`, { headers: headers() });
  return response.json();
}

export async function post(path, body) {
  const options = { method: "POST", headers: headers({ "content-type": "application/json" }), body: JSON.stringify(body) };
  return (await ask(`/mesh/v1/${path}`, options)).json();
}

// Calls `each` with every event of a stream of server-sent events, until it ends.
async function readEvents(response, each) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      if (data && data !== "[DONE]") each(JSON.parse(data));
    }
  }
}

// opened: called when the daemon has begun to send events.
export async function followEvents(each, opened) {
  const response = await ask("/mesh/v1/events?stream=true", { headers: headers() });
  opened();
  await readEvents(response, each);
}

// Asks a model; calls `each` with every chunk. Returns the headers of the answer.
export async function chat(body, each, signal) {
  const options = {
    method: "POST",
    headers: headers({ "content-type": "application/json" }),
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  };
  const response = await ask("/v1/chat/completions", options);
  await readEvents(response, each);
  return response.headers;
}
