// Speaks to the server that this page came from.

export class ApiError extends Error {}

function headers() {
  const key = sessionStorage.getItem("candor-key");
  return { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
}

async function checked(response) {
  if (response.ok) return response;
  let message = `the server answered ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // not one of its own answers
  }
  throw new ApiError(response.status === 401 ? `${message} (Settings has a place for the key)` : message);
}

async function request(path, body, signal) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers(), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("the server can't be reached: is it still running?");
  }
  return checked(response);
}

export async function models() {
  return (await (await request("v1/models")).json()).data;
}

export async function tokenize(body) {
  return (await request("tokenize", body)).json();
}

// Server-sent events as they come; each is parsed JSON.
export async function* stream(path, body, signal) {
  const response = await request(path, { ...body, stream: true }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      for (const line of event.split("\n")) {
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        const found = JSON.parse(data);
        if (found.error) throw new ApiError(found.error.message);
        yield found;
      }
    }
  }
}
