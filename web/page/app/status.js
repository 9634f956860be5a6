// The status line: what happens, and every error in words.

import { byId } from "./dom.js";

const box = byId("message", HTMLElement);
const region = byId("status", HTMLElement);
const dismiss = byId("dismiss", HTMLButtonElement);

/** How long a message that asks for nothing stays in sight. */
const SHOWN_MS = 4000;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;
/** When what was told last has been in sight for long enough. */
let toldUntil = 0;

/** @param {string} message @param {boolean} problem @param {number} shownMs */
function show(message, problem, shownMs) {
  clearTimeout(fading);
  toldUntil = 0;
  region.textContent = message;
  box.classList.toggle("problem", problem);
  box.classList.toggle("quiet", shownMs === 0);
  dismiss.hidden = !problem;
  if (shownMs > 0 && shownMs < Infinity) fading = setTimeout(() => box.classList.add("quiet"), shownMs);
}

/**
 * Something that can be seen on the page anyway: only for screen readers. It does not take the place of what was just told,
 * such as a lost device, of which nobody would know otherwise.
 * @param {string} message
 */
export function mention(message) {
  if (performance.now() < toldUntil) return;
  show(message, false, 0);
}

/** Something that is done. @param {string} message */
export function tell(message) {
  show(message, false, SHOWN_MS);
  toldUntil = performance.now() + SHOWN_MS;
}

/** Something that goes on until the next message. @param {string} message */
export function busy(message) {
  show(message, false, Infinity);
}

/** Something went wrong: one line, with the way out. @param {unknown} error */
export function problem(error) {
  const message = error instanceof Error ? error.message : String(error);
  show(message.replace(/\s*\n\s*/g, " "), true, Infinity);
}

dismiss.addEventListener("click", () => {
  region.textContent = "";
  box.classList.add("quiet");
  dismiss.hidden = true;
});
