// Asks the server. All addresses are relative, so the page works under any path.

const HEADER = { "X-Kafka-Bridge": "1" };
const AGAIN_MS = 3000;

export class ApiError extends Error {
  constructor(text, status, needsToken) {
    super(text);
    this.status = status;
    this.needsToken = needsToken;
  }
}

export function get(path, query = {}, signal = undefined) {
  return ask(`api/${path}?${parameters(query)}`, { headers: HEADER, signal });
}

export function post(path, body) {
  const headers = { ...HEADER, "Content-Type": "application/json" };
  return ask(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}

function parameters(query) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of [value].flat()) if (each !== undefined && each !== "") found.append(name, each);
  }
  return found;
}

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, { ...options, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The board's server does not answer. Is it still running?", 0, false);
  }
  if (response.status === 204) return null;
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  const needsToken = response.status === 401 && response.headers.has("WWW-Authenticate");
  throw new ApiError(reason(text, response.status), response.status, needsToken);
}

function reason(text, status) {
  try {
    return String(JSON.parse(text).detail);
  } catch {
    return `The server answered with the error ${status}. Its log says more`;
  }
}

/** Follows what changes, while the page can be seen. Returns an object with `close`. */
export function follow(query, since, { changes, lost, refused }) {
  let source = null;
  let timer = 0;
  let version = since;

  function open() {
    source = new EventSource(`api/events?${parameters({ ...query, since: version })}`);
    source.addEventListener("changes", (message) => {
      version = message.lastEventId;
      lost(null);
      changes(JSON.parse(message.data));
    });
    source.addEventListener("error", () => {
      stop();
      timer = setTimeout(check, AGAIN_MS);
    });
  }

  // An event source does not say why it ended or was refused, and asks a server that is gone again
  // and again in silence. An ordinary question has an answer.
  async function check() {
    try {
      await get("jobs", { limit: 1 });
      open();
    } catch (error) {
      if (error.status === 401) refused(error);
      else {
        lost(error.message);
        timer = setTimeout(check, AGAIN_MS);
      }
    }
  }

  function stop() {
    clearTimeout(timer);
    if (source !== null) source.close();
    source = null;
  }

  function seen() {
    stop();
    if (!document.hidden) open();
  }

  document.addEventListener("visibilitychange", seen);
  seen();
  return {
    close() {
      document.removeEventListener("visibilitychange", seen);
      stop();
    },
  };
}
