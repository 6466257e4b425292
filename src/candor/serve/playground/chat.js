// A conversation, with what the model really reads on demand, and how sure it is where it can say so.

import { ApiError, stream, tokenize } from "./api.js";
import { forChat } from "./settings.js";
import { addToken, hide, percent } from "./tokens.js";
import { fit } from "./write.js";

const turns = document.getElementById("turns");
const area = document.getElementById("message");
const send = document.getElementById("send");
const raw = document.getElementById("raw");
const rawView = document.getElementById("raw-view");
const noChat = document.getElementById("no-chat");
const ALTERNATIVES = 8;
let messages = [];
let stopper = null;

export function ready(context) {
  document.getElementById("say").addEventListener("submit", (event) => {
    event.preventDefault();
    if (stopper) stopper.abort();
    else say(context);
  });
  area.addEventListener("input", () => fit(area));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!stopper) say(context);
    }
  });
  raw.addEventListener("change", () => showRaw(context));
  document.getElementById("chat-new").addEventListener("click", () => {
    stopper?.abort();
    messages = [];
    turns.replaceChildren();
    hide();
    showRaw(context);
    area.focus();
  });
}

function addTurn(role, text) {
  const turn = document.createElement("li");
  turn.className = `turn ${role}`;
  const who = document.createElement("p");
  who.className = "who";
  who.textContent = role === "user" ? "You" : "Model";
  const box = document.createElement("div");
  box.className = "tokens";
  box.textContent = text;
  turn.append(who, box);
  turns.append(turn);
  return { turn, box };
}

async function say(context) {
  const text = area.value.trim();
  if (!text) return;
  context.say("");
  noChat.hidden = true;
  messages.push({ role: "user", content: text });
  const asked = addTurn("user", text);
  area.value = "";
  fit(area);
  const { turn, box } = addTurn("assistant", "");
  box.classList.add("busy");
  stopper = new AbortController();
  send.textContent = "Stop";
  let reply = "";
  try {
    const body = { ...forChat(), model: context.model(), messages, logprobs: true, top_logprobs: ALTERNATIVES };
    for await (const event of stream("v1/chat/completions", body, stopper.signal)) {
      for (const choice of event.choices) {
        for (const token of choice.logprobs?.content ?? []) {
          const top = Object.fromEntries((token.top_logprobs ?? []).map((one) => [one.token, one.logprob]));
          const said = choice.delta?.content ?? "";
          const end = choice.finish_reason === "stop" && !said;
          const text = choice.logprobs.content.length === 1 && !end ? said : token.token;
          const element = addToken(box, { text, name: token.token, logprob: token.logprob, top }, null);
          if (end) element.classList.add("special");
        }
        reply += choice.delta?.content ?? "";
      }
      showConfidence(turn, event);
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      if (!(error instanceof ApiError)) throw error;
      if (!reply) {
        turn.remove();
        asked.turn.remove();
        messages.pop();
        area.value = text;
        fit(area);
      }
      if (error.message.includes("chat template")) {
        noChat.textContent = `${error.message}. “Write on” works with every model.`;
        noChat.hidden = false;
      } else {
        context.say(error.message);
      }
    }
  } finally {
    box.classList.remove("busy");
    stopper = null;
    send.textContent = "Send";
  }
  if (reply || !turn.isConnected) {
    // What was really said, where the gate put something else in place of the tokens drawn.
    if (reply && !box.textContent.startsWith(reply)) box.textContent = reply;
    if (reply) messages.push({ role: "assistant", content: reply });
  }
  turn.scrollIntoView?.({ block: "nearest" });
  await showRaw(context);
}

function showConfidence(turn, event) {
  const found = event.candor ?? event.choices?.[0]?.candor;
  if (!found || typeof found.confidence !== "number") return;
  let line = turn.querySelector(".sure");
  if (!line) {
    line = document.createElement("p");
    line.className = "sure";
    turn.append(line);
  }
  line.textContent = `Its own reading before it answered: right with ${percent(found.confidence)}${found.abstained ? "; the gate was closed" : ""}.`;
}

async function showRaw(context) {
  rawView.hidden = !raw.checked;
  if (!raw.checked) return;
  if (!messages.length) {
    rawView.textContent = "Nothing yet.";
    return;
  }
  try {
    const last = messages[messages.length - 1].role;
    const found = await tokenize({ model: context.model(), messages, add_generation_prompt: last === "user", return_token_strs: true });
    rawView.replaceChildren();
    const strings = found.token_strs ?? [];
    const special = new Set(found.special ?? []);
    found.tokens.forEach((id, place) => {
      const element = document.createElement("span");
      element.className = special.has(place) || /^<\|?.*\|?>$/.test(strings[place] ?? "") ? "tok special" : "tok";
      element.textContent = strings[place] ?? String(id);
      element.title = `token ${id}`;
      rawView.append(element);
    });
  } catch (error) {
    rawView.textContent = error.message;
  }
}
