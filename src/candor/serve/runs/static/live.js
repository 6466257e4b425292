"use strict";
// Follows a run: asks this server again and again for the part of the page that changes, and puts it in.
(() => {
  const live = document.getElementById("live");
  const status = document.getElementById("followed");
  if (!live || !live.dataset.follow) return;
  const SOON = 2000, LATER = 15000;
  let seen = live.dataset.version;

  const again = (wait) => setTimeout(look, wait);
  async function look() {
    if (document.hidden) return again(SOON);
    try {
      const address = `${live.dataset.follow}&seen=${encodeURIComponent(seen)}`;
      const answer = await fetch(address, { redirect: "error" });
      if (answer.status === 204) return again(live.dataset.working ? SOON : LATER);
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      // The server has escaped what a model or a user wrote; a document made this way runs nothing.
      const part = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
      seen = part.dataset.version;
      live.dataset.working = part.dataset.working;
      // Who stands in a table with the keyboard stays there.
      const stood = live.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
      live.replaceChildren(...document.adoptNode(part).childNodes);
      if (stood) live.querySelector(`[aria-label="${CSS.escape(stood)}"]`)?.focus({ preventScroll: true });
      const words = live.querySelector("#state").textContent;
      if (status.textContent !== words) status.textContent = words;
      again(part.dataset.working ? SOON : LATER);
    } catch {
      status.textContent = "The server can’t be reached: is it still running?";
      again(LATER);
    }
  }
  again(live.dataset.working ? SOON : LATER);
})();
