// The switch between the three modes, and what they cost side by side.

import { byId, make, radios } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./protocol.js").Mode} Mode */
/** @typedef {import("./protocol.js").ModelInfo} ModelInfo */
/** @typedef {import("./protocol.js").ModeResult} ModeResult */

/** @type {Record<Mode, { name: string, note: string }>} */
const MODES = {
  folded: { name: "Folded", note: "One ordinary kernel per convolution, multiplied out beforehand." },
  kernel: { name: "Composed (kernel)", note: "D · w is multiplied out anew for every picture." },
  feature: { name: "Composed (features)", note: "D, then w, applied to the features one after the other." },
};
/** @type {Mode[]} */
const ORDER = ["folded", "kernel", "feature"];

const choices = radios("mode");
const note = byId("mode-note", HTMLElement);
const table = byId("comparison", HTMLElement);
const verdict = byId("verdict", HTMLElement);
const compare = byId("compare", HTMLButtonElement);

/** @param {string} head @param {string} value @param {number} [share] */
function cell(head, value, share) {
  const td = make("td", { role: "cell", "data-head": head }, value);
  if (share !== undefined) {
    const bar = make("i");
    bar.style.setProperty("--share", share.toFixed(4));
    td.append(make("span", { class: "gauge", "aria-hidden": "true" }, bar));
  }
  return td;
}

/** @param {ModelInfo["macs"]} macs @param {ModeResult[]} results */
function draw(macs, results) {
  const slowest = Math.max(0, ...results.map(({ elapsedMs }) => elapsedMs));
  const most = Math.max(...Object.values(macs));
  table.replaceChildren(...ORDER.map((mode) => {
    const result = results.find((candidate) => candidate.mode === mode);
    const head = make("th", { scope: "row", role: "rowheader" }, MODES[mode].name);
    if (mode === selectedMode()) head.append(make("small", {}, "in use above"));
    return make("tr", { role: "row" }, head,
      cell("Time per picture", result ? format.time(result.elapsedMs) : "–", result && slowest ? result.elapsedMs / slowest : undefined),
      cell("Multiply-accumulates", format.large(macs[mode]), most ? macs[mode] / most : undefined),
      cell("Largest difference", mode === "folded" ? "–" : result ? format.difference(result.largestDifference) : "–"));
  }));
}

/** The measured figures in one sentence. @param {ModeResult[]} results */
function summary(results) {
  const folded = results.find(({ mode }) => mode === "folded");
  const feature = results.find(({ mode }) => mode === "feature");
  if (!folded || !feature) return "Measured on the current picture.";
  const apart = Math.max(...results.map(({ largestDifference }) => largestDifference));
  const same = `No class’s probability differs by more than ${format.difference(apart)}`;
  const factor = feature.elapsedMs / folded.elapsedMs;
  return factor >= 1.05
    ? `${same}, and Composed (features) takes ${format.factor(factor)} times as long as Folded.`
    : `${same}. Composed (features) took no longer than Folded this time.`;
}

/** @type {{ macs: ModelInfo["macs"], results: ModeResult[] }} */
let shown = { macs: { folded: 0, kernel: 0, feature: 0 }, results: [] };

/** @returns {Mode} */
export function selectedMode() {
  return /** @type {Mode} */ (choices.find(({ checked }) => checked)?.value ?? "folded");
}

/** Puts the switch where it was before a mode that failed. @param {Mode} mode */
export function selectMode(mode) {
  for (const choice of choices) choice.checked = choice.value === mode;
  describeMode();
}

function describeMode() {
  note.textContent = MODES[selectedMode()].note;
  draw(shown.macs, shown.results);
}

/** A model is there that was not measured yet. @param {ModelInfo} model */
export function showModel(model) {
  shown = { macs: model.macs, results: [] };
  verdict.textContent = model.doconvLayers
    ? "On the picture above, on your device."
    : "This network has no DO-Conv layers, so the three modes are the same.";
  compare.disabled = false;
  draw(shown.macs, shown.results);
}

/** @param {string} [message] */
export function showMeasuring(message = "Measuring.") {
  compare.disabled = true;
  verdict.textContent = message;
}

/** @param {ModeResult[]} results */
export function showComparison(results) {
  compare.disabled = false;
  shown.results = results;
  draw(shown.macs, results);
  verdict.textContent = summary(results);
}

/** @param {string} message */
export function showNotMeasured(message) {
  compare.disabled = false;
  verdict.textContent = message;
}

/** @param {{ onMode: (mode: Mode) => void, onCompare: () => void }} handlers */
export function listenForModes({ onMode, onCompare }) {
  for (const choice of choices) {
    choice.addEventListener("change", () => {
      describeMode();
      onMode(selectedMode());
    });
  }
  compare.addEventListener("click", onCompare);
}
