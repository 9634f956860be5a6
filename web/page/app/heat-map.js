// A matrix as an SVG heat map that pointer and arrow keys can read.

import { makeSvg } from "./dom.js";
import { signed } from "./format.js";

/** More cells than this along one side are too small to see, and slow to make. */
const MOST = 64;

/**
 * @typedef {object} HeatMap
 * @property {SVGSVGElement} svg
 * @property {(row: number | null) => void} markRow outlines a row, or none
 */

/**
 * @param {object} matrix
 * @param {string} matrix.name for screen readers and the readout
 * @param {Float32Array} matrix.values row by row
 * @param {number} matrix.rows
 * @param {number} matrix.columns
 * @param {number} matrix.scale the value that gets the full colour
 * @param {boolean} [matrix.stretch] whether cells may be oblong
 * @param {(cell: { row: number, column: number, value: number } | null) => void} onCell the cell under pointer or focus
 * @returns {HeatMap}
 */
export function heatMap({ name, values, rows, columns, scale, stretch = false }, onCell) {
  const [shownRows, shownColumns] = [Math.min(rows, MOST), Math.min(columns, MOST)];
  const svg = makeSvg("svg", {
    viewBox: `0 0 ${shownColumns} ${shownRows}`, role: "grid", tabindex: -1, "aria-label": name,
    "aria-rowcount": rows, "aria-colcount": columns, ...(stretch ? { preserveAspectRatio: "none" } : {}),
  });
  svg.style.setProperty("--gap", shownRows > 12 && !stretch ? "0.1" : "0.05");
  const cells = Array.from({ length: shownRows }, (_, row) =>
    Array.from({ length: shownColumns }, (_, column) => {
      const value = values[row * columns + column];
      const strength = scale > 0 ? Math.min(1, Math.abs(value) / scale) : 0;
      const rect = makeSvg("rect", {
        x: column, y: row, width: 1, height: 1, class: value < 0 ? "negative" : "positive",
        role: "gridcell", tabindex: row || column ? -1 : 0,
        "aria-label": `row ${row + 1}, column ${column + 1}: ${signed(value)}`,
        "data-row": row, "data-column": column,
      });
      rect.style.setProperty("--strength", `${(100 * strength).toFixed(1)}%`);
      return rect;
    }));
  const marker = makeSvg("rect", { class: "marker", "aria-hidden": "true", hidden: "" });
  svg.append(...cells.map((row) => makeSvg("g", { role: "row" }, ...row)), marker);

  /** Outlines cells from above, or their neighbours would hide the line. @param {[number, number, number] | null} place */
  const mark = (place) => {
    marker.toggleAttribute("hidden", !place);
    if (!place) return;
    const [row, column, width] = place;
    for (const [name, value] of Object.entries({ x: column, y: row, width, height: 1 })) marker.setAttribute(name, String(value));
  };
  /** @param {{ row: number, column: number, value: number } | null} cell */
  const tell = (cell) => {
    mark(cell && [cell.row, cell.column, 1]);
    onCell(cell);
  };

  /** @param {EventTarget | null} target */
  const at = (target) => {
    if (!(target instanceof SVGRectElement)) return null;
    const [row, column] = [Number(target.dataset.row), Number(target.dataset.column)];
    return { row, column, value: values[row * columns + column] };
  };
  svg.addEventListener("pointerover", ({ target }) => tell(at(target)));
  svg.addEventListener("pointerleave", () => tell(null));
  svg.addEventListener("focusin", ({ target }) => tell(at(target)));
  svg.addEventListener("focusout", () => tell(null));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const from = at(event.target);
    const to = step && from && cells[from.row + step[0]]?.[from.column + step[1]];
    if (!step || !from) return;
    event.preventDefault();
    if (!to) return;
    cells[from.row][from.column].setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  });
  return { svg, markRow: (row) => mark(row === null || row >= shownRows ? null : [row, 0, shownColumns]) };
}
