// Sampling settings, kept in this browser.

const NAMES = ["temperature", "max_tokens", "n", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "stop", "seed"];
const DEFAULTS = { temperature: "0.8", max_tokens: "48", n: "2", top_p: "1", top_k: "0", min_p: "0", frequency_penalty: "0", presence_penalty: "0", stop: "", seed: "" };
const KEPT = "candor-settings";
const field = (name) => document.getElementById(`s-${name}`);

function showValues() {
  for (const output of document.querySelectorAll("#settings output")) {
    output.textContent = document.getElementById(output.htmlFor.value).value;
  }
}

function fill(values) {
  for (const name of NAMES) field(name).value = values[name] ?? DEFAULTS[name];
  showValues();
}

export function ready() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    // something else wrote there
  }
  fill(kept);
  field("key").value = sessionStorage.getItem("candor-key") ?? "";
  document.getElementById("settings").addEventListener("input", (event) => {
    showValues();
    if (event.target === field("key")) {
      sessionStorage.setItem("candor-key", field("key").value);
      return;
    }
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(NAMES.map((name) => [name, field(name).value]))));
  });
  document.getElementById("settings-form").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("defaults").addEventListener("click", () => {
    localStorage.removeItem(KEPT);
    fill({});
  });
}

function number(name) {
  const value = field(name).valueAsNumber;
  return Number.isFinite(value) ? value : Number(DEFAULTS[name]);
}

// What a request says; `n` only where several continuations are wanted.
export function sampling() {
  const seed = field("seed").valueAsNumber;
  const stop = field("stop").value.replaceAll("\\n", "\n");
  return {
    temperature: number("temperature"),
    max_tokens: Math.max(1, Math.round(number("max_tokens"))),
    top_p: number("top_p"),
    top_k: Math.round(number("top_k")),
    min_p: number("min_p"),
    frequency_penalty: number("frequency_penalty"),
    presence_penalty: number("presence_penalty"),
    ...(stop ? { stop: [stop] } : {}),
    ...(Number.isFinite(seed) ? { seed } : {}),
  };
}

// For a conversation: what was left as it is does not cut a reply short.
export function forChat() {
  const { max_tokens, ...rest } = sampling();
  return String(max_tokens) === DEFAULTS.max_tokens ? rest : { ...rest, max_tokens };
}

export function continuations() {
  return Math.min(8, Math.max(1, Math.round(number("n"))));
}
