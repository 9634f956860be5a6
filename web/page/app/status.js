// The status line: what happens, and every error in words.

import { byId } from "./dom.js";

const region = byId("status", HTMLElement);
const text = byId("status-text", HTMLElement);
const dismiss = byId("status-dismiss", HTMLButtonElement);

/** How long a message that asks for nothing stays in sight. */
const SHOWN_MS = 4000;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;

/** @param {string} message @param {boolean} problem @param {boolean} stays */
function show(message, problem, stays) {
  clearTimeout(fading);
  text.textContent = message;
  region.classList.toggle("problem", problem);
  region.classList.remove("quiet");
  dismiss.hidden = !problem;
  if (!problem && !stays) fading = setTimeout(() => region.classList.add("quiet"), SHOWN_MS);
}

/** Something that is done. @param {string} message */
export function tell(message) {
  show(message, false, false);
}

/** Something that goes on until the next message. @param {string} message */
export function busy(message) {
  show(message, false, true);
}

/** Something went wrong: one line, with the way out. @param {unknown} error */
export function problem(error) {
  const message = error instanceof Error ? error.message : String(error);
  show(message.replace(/\s*\n\s*/g, " "), true, true);
}

dismiss.addEventListener("click", () => {
  text.textContent = "";
  region.classList.add("quiet");
  dismiss.hidden = true;
});
