// Tokens on the page: shaded by probability, alternatives on hover and focus, arrow keys between them.

const peek = document.getElementById("peek");
let shown = null; // the token whose alternatives are shown
let leaving = 0;

// A token: {text, name, logprob, top: {name: logprob}}; `name` is what the server calls it where that differs. `onBranch(text)` is called when an alternative is chosen.
export function addToken(box, token, onBranch) {
  const element = document.createElement("span");
  element.className = "tok";
  element.textContent = token.text;
  element.tabIndex = box.querySelector(".tok") ? -1 : 0;
  element.setAttribute("role", "button");
  if (typeof token.logprob === "number") {
    const p = Math.exp(token.logprob);
    // By surprise: even odds hardly show, one in a hundred does.
    element.style.setProperty("--s", Math.min(1, -token.logprob / 6).toFixed(4));
    element.setAttribute("aria-label", `${visible(token.text || token.name)}, probability ${percent(p)}`);
    element.addEventListener("mouseenter", () => show(element, token, onBranch));
    element.addEventListener("mouseleave", hideSoon);
    element.addEventListener("focus", () => show(element, token, onBranch));
    element.addEventListener("blur", hideSoon);
    element.addEventListener("click", () => show(element, token, onBranch));
  }
  element.addEventListener("keydown", (event) => move(event, element));
  const end = box.querySelector(".end");
  box.insertBefore(element, end);
  return element;
}

export function percent(p) {
  return p >= 0.0995 ? `${Math.round(100 * p)} %` : `${(100 * p).toPrecision(2)} %`;
}

export function visible(text) {
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "·") || "∅";
}

function move(event, element) {
  const step = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
  if (step) {
    let other = element[`${step}ElementSibling`];
    while (other && !other.classList.contains("tok")) other = other[`${step}ElementSibling`];
    if (other) {
      element.tabIndex = -1;
      other.tabIndex = 0;
      other.focus();
    }
    event.preventDefault();
  } else if (event.key === "Enter" || event.key === "ArrowDown" || event.key === " ") {
    peek.querySelector("button:not(:disabled)")?.focus();
    event.preventDefault();
  } else if (event.key === "Escape") {
    hide();
  }
}

function show(element, token, onBranch) {
  clearTimeout(leaving);
  if (shown === element && !peek.hidden) return;
  shown = element;
  const options = { ...token.top };
  const own = token.name ?? token.text;
  if (!(own in options)) options[own] = token.logprob;
  const rows = Object.entries(options).sort((a, b) => b[1] - a[1]);
  const title = document.createElement("h3");
  title.textContent = "What could have come here";
  const list = document.createElement("ul");
  for (const [text, logprob] of rows) {
    const p = Math.exp(logprob);
    const button = document.createElement("button");
    button.type = "button";
    button.style.setProperty("--p", p.toFixed(4));
    const words = document.createElement("code");
    words.textContent = visible(text);
    const share = document.createElement("span");
    share.textContent = percent(p);
    button.append(words, share);
    if (text === own) button.setAttribute("aria-current", "true");
    button.disabled = !onBranch || text.startsWith("bytes:");
    button.addEventListener("click", () => {
      hide();
      onBranch(text);
    });
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
  peek.replaceChildren(title, list);
  if (onBranch) {
    const note = document.createElement("p");
    note.textContent = "Choose one to go on from there.";
    peek.append(note);
  }
  peek.hidden = false;
  element.setAttribute("aria-describedby", "peek");
  const place = element.getClientRects()[0] ?? element.getBoundingClientRect();
  const size = peek.getBoundingClientRect();
  const below = place.bottom + 6 + size.height < innerHeight;
  peek.style.left = `${Math.max(6, Math.min(place.left, innerWidth - size.width - 6))}px`;
  peek.style.top = `${Math.max(6, below ? place.bottom + 6 : place.top - size.height - 6)}px`;
}

function hideSoon() {
  clearTimeout(leaving);
  leaving = setTimeout(() => {
    if (!peek.matches(":hover") && !peek.contains(document.activeElement) && document.activeElement !== shown) hide();
  }, 180);
}

export function hide() {
  shown?.removeAttribute("aria-describedby");
  peek.hidden = true;
  shown = null;
}

peek.addEventListener("mouseleave", hideSoon);
peek.addEventListener("focusout", hideSoon);
peek.addEventListener("keydown", (event) => {
  const buttons = [...peek.querySelectorAll("button:not(:disabled)")];
  const at = buttons.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
    event.preventDefault();
  } else if (event.key === "Escape") {
    const back = shown;
    hide();
    back?.focus();
  }
});
addEventListener("scroll", () => { if (!peek.contains(document.activeElement)) hide(); }, { passive: true });
