// The figures under the predictions: one picture's time, or frames per second and their spread.

import { byId } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./protocol.js").Opened} Opened */

const labels = ["time-label", "second-label", "third-label"].map((id) => byId(id, HTMLElement));
const values = ["time-median", "time-second", "time-third"].map((id) => byId(id, HTMLElement));
const foldNote = byId("fold-note", HTMLElement);

/** Frames that median, 95th percentile and rate are taken over. */
const WINDOW = 60;
/** Figures that change with every frame cannot be read. */
const REDRAW_MS = 250;

/** @type {{ at: number, ms: number }[]} */
let frames = [];
let drawnAt = 0;
/** @type {[string, string]} */
let ready = ["Ready after", "–"];
let folding = "–";

/** @param {[string, string][]} figures */
function draw(figures) {
  figures.forEach(([label, value], index) => {
    labels[index].textContent = label;
    values[index].textContent = value;
  });
}

/** @param {Opened} opened @param {string} where the adapter, in words @param {number | null} sinceStartMs */
export function showLoad({ adapter, layers, loadTimes }, where, sinceStartMs) {
  ready = sinceStartMs === null ? ["Loading", format.time(loadTimes.totalMs)] : ["Ready after", format.time(sinceStartMs)];
  const count = layers.length;
  folding = count ? format.time(loadTimes.foldMs) : "none";
  foldNote.textContent = count
    ? `Folded ${format.count(count)} ${count === 1 ? "layer" : "layers"} on load, on the ${where}${adapter.type === "cpu" ? ", packing included" : ""}.`
    : `Nothing was to be folded: loading on the ${where} took ${format.time(loadTimes.totalMs)}.`;
}

/** @param {number} elapsedMs @param {boolean} cold whether nothing has run yet: browsers make code fast while it runs */
export function showStill(elapsedMs, cold) {
  frames = [];
  draw([[cold ? "First run" : "This picture", format.time(elapsedMs)], ready, ["Folding", folding]]);
}

/** @param {number} elapsedMs */
export function showFrame(elapsedMs) {
  const now = performance.now();
  frames = [...frames.slice(1 - WINDOW), { at: now, ms: elapsedMs }];
  if (frames.length < 3 || now - drawnAt < REDRAW_MS) return;
  drawnAt = now;
  const times = frames.map(({ ms }) => ms);
  const seconds = (now - frames[0].at) / 1000;
  draw([
    ["Median per frame", format.time(format.quantile(times, 0.5))],
    ["95th percentile", format.time(format.quantile(times, 0.95))],
    ["Frames per second", format.perSecond((frames.length - 1) / seconds)],
  ]);
}

/** Shows no picture's time. */
export function clear() {
  frames = [];
  draw([["This picture", "–"], ready, ["Folding", folding]]);
}

/** Forgets the frames: the next ones are of another mode, model or adapter, or come after a pause. */
export function restart() {
  frames = [];
}
