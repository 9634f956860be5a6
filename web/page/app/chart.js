// A benchmark's record as bars with confidence intervals.

import { make, makeSvg } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./protocol.js").BenchmarkRecord} BenchmarkRecord */
/** @typedef {BenchmarkRecord["results"][number]} Result */
/** @typedef {Extract<Result, { median_ms: number }>} Measured */

/** @type {Record<string, string>} */
const SUITES = { layers: "Single layers", networks: "The whole network" };
const HEIGHT = 22;

/** The bar ends at the median, the whisker spans the interval. @param {Measured} result @param {number} longest */
function bar({ median_ms, ci95_ms: [low, high] }, longest) {
  const x = (/** @type {number} */ ms) => (100 * ms) / longest;
  const middle = HEIGHT / 2;
  return makeSvg("svg", { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("rect", { class: "value", x: 0, y: 5, width: Math.max(0.3, x(median_ms)), height: HEIGHT - 10 }),
    makeSvg("path", {
      class: "interval", "vector-effect": "non-scaling-stroke",
      d: `M${x(low)} ${middle - 5}v10M${x(low)} ${middle}H${x(high)}M${x(high)} ${middle - 5}v10`,
    }));
}

/** @param {Extract<Result, { error: string }>} result */
const failed = ({ name, mode, error }) => make("tr", { role: "row", class: "wrong" },
  make("th", { scope: "row", role: "rowheader" }, name, make("small", {}, mode)),
  make("td", { role: "cell", colspan: "4" }, error));

/** @param {Measured} result @param {number} longest */
function row(result, longest) {
  const { name, mode, batch, kernels, check, median_ms, ci95_ms: [low, high], gmacs_per_s } = result;
  const about = [mode, batch > 1 ? `batch ${format.count(batch)}` : "", kernels.join(", ")].filter(Boolean).join(" · ");
  const time = make("td", { role: "cell", class: "number", title: `95 % interval ${format.time(low)} to ${format.time(high)}` }, format.time(median_ms),
    make("span", { class: "visually-hidden" }, `, between ${format.time(low)} and ${format.time(high)}`));
  const right = check.ok ? "✓ right" : "✗ wrong";
  return make("tr", { role: "row", ...(check.ok ? {} : { class: "wrong" }) },
    make("th", { scope: "row", role: "rowheader" }, name, make("small", {}, about)),
    make("td", { role: "cell", class: "chart" }, bar(result, longest)),
    time,
    make("td", { role: "cell", class: "number speed" }, format.perSecond(gmacs_per_s)),
    make("td", { role: "cell", class: "verdict-cell", title: `largest error ${check.largest_error}, at most ${check.tolerance}` }, right));
}

/** @param {string} text @param {string} [className] */
const head = (text, className = "") => make("th", { scope: "col", role: "columnheader", ...(className ? { class: className } : {}) }, text);

/** @param {string} suite @param {Result[]} results */
function table(suite, results) {
  const measured = results.filter((result) => result.error === undefined);
  const longest = Math.max(...measured.map(({ ci95_ms, median_ms }) => Math.max(ci95_ms[1], median_ms)));
  return make("div", { class: "suite" }, make("h3", {}, SUITES[suite] ?? suite),
    make("table", { role: "table", "aria-label": SUITES[suite] ?? suite },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, head("Case and kernels"), head("Median and 95 % interval", "chart"),
        head("Median", "number"), head("GMAC/s", "number speed"), head("Answer", "verdict-cell"))),
      make("tbody", { role: "rowgroup" }, ...results.map((result) => (result.error === undefined ? row(result, longest) : failed(result))))));
}

/** @param {BenchmarkRecord} record */
export function chart(record) {
  const suites = [...new Set(record.results.map(({ suite }) => suite))];
  return suites.map((suite) => table(suite, record.results.filter((result) => result.suite === suite)));
}
