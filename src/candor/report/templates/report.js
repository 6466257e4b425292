"use strict";
// The questions table: filter, search, order, page. All text goes in through textContent, never as HTML.
(() => {
  const byId = (id) => document.getElementById(id);
  const browser = byId("browser");
  if (!browser) return;
  const rows = JSON.parse(byId("data").textContent);
  const PAGE = matchMedia("(max-width: 660px)").matches ? 10 : 25;
  const words = { correct: ["✓", "right"], incorrect: ["✗", "wrong"], not_attempted: ["?", "“I don’t know”"] };
  const fields = { text: byId("f-text"), pair: byId("f-pair"), kind: byId("f-kind"), origin: byId("f-origin"), order: byId("f-order") };
  const gates = rows.some((row) => row.g);
  let page = 0;
  let chosen = rows;

  for (const row of rows) {
    row.find = [row.q, row.a, row.b[0], row.t[0], row.d].join("\n").toLowerCase();
    row.pair = row.b[1] + "|" + row.t[1];
  }
  const offer = (select, key) => {
    const counts = new Map();
    for (const row of rows) counts.set(row[key], (counts.get(row[key]) || 0) + 1);
    for (const [value, count] of [...counts].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
      if (value) select.append(new Option(`${value.replaceAll("_", " ")} (${count})`, value));
    }
    if (select.length <= 2) select.parentElement.hidden = true;
  };
  offer(fields.kind, "k");
  offer(fields.origin, "o");
  if (!gates) document.querySelector("th.gate").remove();
  if (rows.every((row) => row.c === null)) fields.order.parentElement.hidden = true;

  const element = (tag, style, text) => {
    const node = document.createElement(tag);
    if (style) node.className = style;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const badge = (verdict) => {
    const [symbol, label] = words[verdict] || ["·", verdict || "no answer"];
    const node = element("span", "badge " + (verdict in words ? verdict : "other"));
    const mark = element("span", "", symbol);
    mark.setAttribute("aria-hidden", "true");
    node.append(mark, " " + label);
    return node;
  };
  const cell = (label, ...nodes) => {
    const node = element("td");
    node.setAttribute("role", "cell");
    node.dataset.label = label;
    node.append(...nodes);
    return node;
  };
  const said = (text) => {
    const node = element("div", "said", text || "(empty)");
    node.dir = "auto";
    return node;
  };
  const line = (row) => {
    const node = element("tr");
    node.setAttribute("role", "row");
    const asked = said(row.q);
    asked.classList.add("asked");
    const meta = [row.a ? "Accepted: " + row.a : "No right answer exists", row.k.replaceAll("_", " "), row.d].filter(Boolean).join(" · ");
    const about = element("div", "meta", meta);
    about.dir = "auto";
    node.append(cell("Question", asked, about));
    node.append(cell("Before", badge(row.b[1]), said(row.b[0])), cell("After", badge(row.t[1]), said(row.t[0])));
    if (gates) node.append(row.g ? cell("Probe gate", badge(row.g[1])) : cell("Probe gate", "–"));
    node.append(cell("Confidence", row.c === null ? "–" : Math.round(row.c * 100) + "%"));
    return node;
  };
  const show = () => {
    const pages = Math.max(1, Math.ceil(chosen.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    byId("rows").replaceChildren(...chosen.slice(page * PAGE, (page + 1) * PAGE).map(line));
    const number = (n) => n.toLocaleString("en");
    byId("status").textContent = chosen.length ? `${number(chosen.length)} of ${number(rows.length)} questions` : "No question matches: clear a filter.";
    byId("place").textContent = `Page ${number(page + 1)} of ${number(pages)}`;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page === pages - 1;
  };
  const filter = () => {
    const terms = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    chosen = rows.filter((row) =>
      (!fields.pair.value || row.pair === fields.pair.value) &&
      (!fields.kind.value || row.k === fields.kind.value) &&
      (!fields.origin.value || row.o === fields.origin.value) &&
      terms.every((term) => row.find.includes(term)));
    const sign = { up: 1, down: -1 }[fields.order.value];
    if (sign) {
      // Questions without a confidence come last either way.
      chosen.sort((a, b) => (a.c === null) - (b.c === null) || sign * (a.c - b.c));
    }
    page = 0;
    show();
  };
  const turn = (step) => {
    page += step;
    show();
    browser.scrollIntoView();
  };
  for (const field of Object.values(fields)) field.addEventListener("input", filter);
  const form = browser.querySelector("form");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  for (const button of document.querySelectorAll("button[data-pair]")) {
    button.addEventListener("click", () => {
      form.reset();
      fields.pair.value = button.dataset.pair;
      setTimeout(filter);
      byId("questions").scrollIntoView();
      fields.pair.focus({ preventScroll: true });
    });
  }
  browser.hidden = false;
  filter();
  // Paper shows what a reader could unfold.
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details:not(.contents)")) fold.open = true;
  });
})();
