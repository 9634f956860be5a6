// What the visitor does with pictures: two tabs beside the picture, which is the same for both.

import { byId } from "./dom.js";

/** @typedef {"classify" | "teach"} Tab */

/** @type {Tab[]} */
const names = ["classify", "teach"];
const tabs = names.map((name) => byId(`tab-${name}`, HTMLButtonElement));
const panels = names.map((name) => byId(name, HTMLElement));

/** Which one is shown. */
export const currentTab = () => names[panels.findIndex((panel) => !panel.hidden)];

/** @param {Tab} name */
function showTab(name) {
  const chosen = names.indexOf(name);
  tabs.forEach((tab, index) => {
    tab.setAttribute("aria-selected", String(index === chosen));
    tab.tabIndex = index === chosen ? 0 : -1;
    panels[index].hidden = index !== chosen;
  });
}

/** @param {(name: Tab) => void} onTab called when one is shown, also again */
export function listenForTabs(onTab) {
  /** @param {number} index */
  const choose = (index) => {
    showTab(names[index]);
    onTab(names[index]);
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(index));
    tab.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const other = (index + 1) % tabs.length;
      tabs[other].focus();
      choose(other);
    });
  });
  // A panel that is hidden is none that the browser could scroll to.
  const teach = () => {
    choose(names.indexOf("teach"));
    byId("stage", HTMLElement).scrollIntoView();
  };
  for (const link of document.querySelectorAll('a[href="#teach"]')) link.addEventListener("click", teach);
  if (location.hash === "#teach") teach();
}
