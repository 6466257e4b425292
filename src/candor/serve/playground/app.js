// The page: tabs, models, theme.

import { models } from "./api.js";
import * as chat from "./chat.js";
import * as settings from "./settings.js";
import { fit, ready as readyToWrite } from "./write.js";

const status = document.getElementById("status");
const select = document.getElementById("model");
const context = {
  model: () => select.value || undefined,
  say: (text) => { status.textContent = text; },
};

const tabs = [...document.querySelectorAll("[role=tab]")];
function choose(tab) {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = !chosen;
  }
  localStorage.setItem("candor-tab", tab.id);
  document.querySelectorAll("section:not([hidden]) textarea").forEach(fit);
}
for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
    choose(other);
    other.focus();
  });
}

const side = document.getElementById("settings");
const opener = document.getElementById("settings-open");
opener.addEventListener("click", () => {
  side.hidden = !side.hidden;
  opener.setAttribute("aria-expanded", String(!side.hidden));
});
if (innerWidth > 1000) opener.click();

const theme = localStorage.getItem("candor-theme");
if (theme) document.documentElement.dataset.theme = theme;
document.getElementById("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("candor-theme", document.documentElement.dataset.theme);
});

settings.ready();
readyToWrite(context);
chat.ready(context);
const before = document.getElementById(localStorage.getItem("candor-tab"));
if (before) choose(before);

async function loadModels() {
  try {
    const found = await models();
    select.replaceChildren(...found.map((model) => new Option(model.id, model.id)));
    context.say("");
  } catch (error) {
    context.say(error.message);
  }
}
document.getElementById("s-key").addEventListener("change", loadModels);
loadModels();
