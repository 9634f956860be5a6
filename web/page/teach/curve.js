// The loss as it falls.

import { byId, makeSvg } from "../app/dom.js";
import * as format from "../app/format.js";

/** @typedef {import("./protocol.js").Epoch} Epoch */

const [WIDTH, HEIGHT, MARGIN] = [300, 100, 4];

const figure = byId("curve", HTMLElement);
const plot = byId("curve-plot", SVGSVGElement);
const text = byId("curve-text", HTMLElement);
const counter = byId("curve-epoch", HTMLElement);

/** @type {Epoch[]} */
let epochs = [];

/** Begins anew. @param {string} message */
export function clearCurve(message) {
  epochs = [];
  figure.hidden = false;
  plot.replaceChildren();
  text.textContent = message;
  counter.textContent = "";
}

export function hideCurve() {
  figure.hidden = true;
}

/** @param {Epoch} epoch */
export function extendCurve(epoch) {
  epochs.push(epoch);
  const highest = Math.max(...epochs.map(({ loss }) => loss));
  const x = (/** @type {number} */ index) => (WIDTH * (index - 1)) / Math.max(1, epoch.epochs - 1);
  const y = (/** @type {number} */ loss) => MARGIN + (HEIGHT - 2 * MARGIN) * (1 - loss / highest);
  const points = epochs.map(({ epoch, loss }) => `${x(epoch).toFixed(1)} ${y(loss).toFixed(1)}`);
  const [first, last] = [points[0], points[points.length - 1]];
  plot.replaceChildren(
    makeSvg("path", { class: "area", d: `M${first.split(" ")[0]} ${HEIGHT}L${points.join("L")}L${last.split(" ")[0]} ${HEIGHT}Z` }),
    makeSvg("path", { class: "line", d: `M${points.join("L")}`, "vector-effect": "non-scaling-stroke" }));
  text.textContent = `Loss ${format.loss(epoch.loss)}, ${format.share(epoch.accuracy)} right`;
  counter.textContent = `${format.count(epoch.epoch)} of ${format.count(epoch.epochs)}`;
}
