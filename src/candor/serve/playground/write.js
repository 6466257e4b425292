// A page of texts: each is gone on with, several ways side by side, and can be branched at any token.

import { ApiError, stream } from "./api.js";
import { continuations, sampling } from "./settings.js";
import { addToken, hide, visible } from "./tokens.js";

const KEPT = "candor-texts";
const cells = document.getElementById("cells");
const ALTERNATIVES = 8;

export function ready(context) {
  let kept = [];
  try {
    kept = JSON.parse(localStorage.getItem(KEPT)) ?? [];
  } catch {
    // something else wrote there
  }
  for (const text of kept.length ? kept : [""]) addCell(context, String(text));
  document.getElementById("add").addEventListener("click", () => addCell(context, "").querySelector("textarea").focus());
  document.getElementById("clear").addEventListener("click", () => {
    cells.querySelectorAll(".cell").forEach((cell) => cell.stop?.());
    cells.replaceChildren();
    addCell(context, "").querySelector("textarea").focus();
    keep();
  });
}

function keep() {
  const texts = [...cells.querySelectorAll("textarea")].map((area) => area.value).filter(Boolean);
  localStorage.setItem(KEPT, JSON.stringify(texts.slice(-50)));
}

function button(label, action, quiet = true) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = label;
  if (quiet) element.className = "quiet";
  element.addEventListener("click", action);
  return element;
}

export function fit(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

function addCell(context, text, { after = null, from = "" } = {}) {
  const cell = document.createElement("section");
  cell.className = "cell";
  cell.setAttribute("aria-label", "Text");
  if (from) {
    const origin = document.createElement("p");
    origin.className = "from";
    origin.textContent = from;
    cell.append(origin);
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.rows = 2;
  area.setAttribute("aria-label", "Text to go on with");
  area.placeholder = "Once upon a time …";
  area.addEventListener("input", () => { fit(area); keep(); });
  const results = document.createElement("div");
  results.className = "continuations";
  const meta = document.createElement("span");
  meta.className = "meta";
  const go = button("Go on", () => (cell.stop ? cell.stop() : run()), false);
  const remove = button("Remove", () => { cell.stop?.(); cell.remove(); hide(); if (!cells.children.length) addCell(context, ""); keep(); });
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.append(go, remove, meta);
  cell.append(area, bar, results);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!cell.stop) run();
    }
  });
  if (after) after.after(cell);
  else cells.append(cell);
  fit(area);
  keep();

  // Goes on with this cell's text, or with a card's.
  async function run(card = null) {
    context.say("");
    const stopper = new AbortController();
    const finish = () => { cell.stop = null; go.textContent = "Go on"; };
    cell.stop = () => stopper.abort();
    go.textContent = "Stop";
    const prompt = card ? card.prompt + card.text : area.value;
    const count = card ? 1 : continuations();
    if (!card) {
      hide();
      results.replaceChildren();
    }
    const cards = card ? [card] : Array.from({ length: count }, (_, number) => addCard(prompt, number, count));
    cards.forEach((one) => { one.box.classList.add("busy"); one.box.querySelector(".end")?.remove(); });
    const begun = performance.now();
    let made = 0;
    try {
      const body = { ...sampling(), model: context.model(), prompt, n: count, logprobs: ALTERNATIVES };
      for await (const event of stream("v1/completions", body, stopper.signal)) {
        for (const choice of event.choices) made += cards[choice.index].take(choice);
        meta.textContent = `${made} tokens, ${(made / Math.max(0.001, (performance.now() - begun) / 1000)).toFixed(0)} a second`;
      }
    } catch (error) {
      if (error.name !== "AbortError") {
        if (!(error instanceof ApiError)) throw error;
        context.say(error.message);
      }
    } finally {
      cards.forEach((one) => one.box.classList.remove("busy"));
      finish();
    }
  }

  function addCard(prompt, number, count) {
    const element = document.createElement("article");
    element.className = "card";
    element.setAttribute("aria-label", count > 1 ? `Continuation ${number + 1} of ${count}` : "Continuation");
    const box = document.createElement("div");
    box.className = "tokens";
    const card = { prompt, text: "", box, take };
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.append(
      button("More", () => { if (!cell.stop) run(card); }),
      button("Edit", () => addCell(context, prompt + card.text, { after: cell, from: "Kept from above" }).querySelector("textarea").focus()),
      button("Copy", () => navigator.clipboard?.writeText(prompt + card.text)),
    );
    element.append(box, bar);
    results.append(element);

    // Tokens of a streamed choice; returns how many. A token's text may come later: with the last of the tokens
    // that a character is made of, or when it is sure that no stop string begins with it.
    function take(choice) {
      const found = choice.logprobs;
      const tokens = found?.tokens ?? [];
      tokens.forEach((name, place) => {
        const before = prompt + card.text;
        // What ends a text is a token too, and none of its words.
        const end = choice.finish_reason === "stop" && !choice.text;
        const token = {
          text: tokens.length === 1 && !end ? choice.text : name,
          name,
          logprob: found.token_logprobs[place],
          top: found.top_logprobs?.[place] ?? {},
        };
        const element = addToken(box, token, (other) => {
          const branch = addCell(context, before + other, { after: cell, from: `Branched off at “${name.trim() || visible(name)}”` });
          branch.run();
          branch.querySelector("textarea").focus();
        });
        if (end) element.classList.add("special");
      });
      card.text += choice.text ?? "";
      if (choice.finish_reason) {
        const end = document.createElement("span");
        end.className = "end";
        end.textContent = choice.finish_reason === "stop" ? " ■ ended" : " …";
        box.append(end);
      }
      return tokens.length;
    }
    return card;
  }

  cell.run = run;
  return cell;
}
