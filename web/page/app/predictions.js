// The list of predictions.

import { byId, make } from "./dom.js";
import { share } from "./format.js";

/** @typedef {import("./protocol.js").Prediction} Prediction */

const list = byId("predictions", HTMLElement);
const announcement = byId("announcement", HTMLElement);

/** How many are shown. */
const SHOWN = 5;
/** How much of a class's probability the next frame keeps. */
const KEPT = 0.7;
/** Least time between two announcements while the camera runs. */
const ANNOUNCE_MS = 5000;

/** @type {Map<number, Prediction>} */
let smoothed = new Map();
let announcedAt = 0;
let announcedClass = -1;

/** Draws ever the same rows, so that bars move instead of being made anew. @param {Prediction[]} predictions */
function draw(predictions) {
  const shown = predictions.slice(0, SHOWN);
  while (list.children.length > shown.length) list.lastElementChild?.remove();
  while (list.children.length < shown.length) {
    const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("i"));
    list.append(make("li", {}, make("span", { class: "label" }), " ", make("span", { class: "share" }), bar));
  }
  shown.forEach(({ label, probability }, rank) => {
    const [name, percentage, bar] = /** @type {HTMLElement[]} */ ([...list.children[rank].children]);
    name.textContent = label;
    name.title = label;
    percentage.textContent = share(probability);
    /** @type {HTMLElement} */ (bar.firstElementChild).style.setProperty("--share", probability.toFixed(4));
  });
}

/** @param {Prediction[]} predictions */
const sentence = (predictions) =>
  predictions.map(({ label, probability }) => `${label}, ${share(probability)}`).join("; ");

/** Shows what a still picture is. @param {Prediction[]} predictions */
export function showStill(predictions) {
  list.classList.remove("live");
  smoothed.clear();
  draw(predictions);
  announcement.textContent = sentence(predictions.slice(0, SHOWN));
}

/** Shows nothing. */
export function clear() {
  smoothed.clear();
  draw([]);
  announcement.textContent = "";
}

/** Shows what a frame of the camera is. @param {Prediction[]} predictions @param {boolean} smooth */
export function showFrame(predictions, smooth) {
  list.classList.add("live");
  const ranked = smooth ? smoothOver(predictions) : predictions;
  if (!smooth) smoothed.clear();
  draw(ranked);
  const [best] = ranked;
  const now = performance.now();
  if (best && best.class !== announcedClass && now - announcedAt > ANNOUNCE_MS) {
    announcedClass = best.class;
    announcedAt = now;
    announcement.textContent = sentence([best]);
  }
}

/** An exponential mean over frames; a class that is not among a frame's best counts as 0 there. @param {Prediction[]} predictions */
function smoothOver(predictions) {
  const first = smoothed.size === 0;
  const next = new Map(predictions.map((prediction) => [prediction.class, prediction]));
  /** @type {Map<number, Prediction>} */
  const mixed = new Map();
  for (const [index, { label }] of [...smoothed, ...next]) {
    const now = next.get(index)?.probability ?? 0;
    const before = first ? now : (smoothed.get(index)?.probability ?? 0);
    const probability = KEPT * before + (1 - KEPT) * now;
    if (probability > 1e-4) mixed.set(index, { class: index, label, probability });
  }
  smoothed = mixed;
  return [...mixed.values()].sort((a, b) => b.probability - a.probability);
}
