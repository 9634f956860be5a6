// One layer's D · w = kernel, as heat maps.

import { byId, make } from "./dom.js";
import { signed } from "./format.js";
import { heatMap } from "./heat-map.js";

/** @typedef {import("./protocol.js").DoConvLayer} DoConvLayer */
/** @typedef {import("./protocol.js").Factors} Factors */
/** @typedef {import("./heat-map.js").HeatMap} HeatMap */
/** @typedef {(layer: string, output: number, input: number) => Promise<Factors>} GetFactors */

const layer = byId("layer", HTMLSelectElement);
const output = byId("output-channel", HTMLInputElement);
const input = byId("input-channel", HTMLInputElement);
const product = byId("product", HTMLElement);
const legend = byId("legend", HTMLElement);
const readout = byId("readout", HTMLElement);
const note = byId("kernel-note", HTMLElement);
const values = byId("kernel-values", HTMLDetailsElement);
const text = byId("kernel-text", HTMLElement);

const READ_HINT = "Point at a cell, or use the arrow keys, to read it.";

/** @type {DoConvLayer[]} */
let layers = [];
/** @type {GetFactors | null} */
let getFactors = null;

/** @param {Float32Array} data */
const largest = (data) => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** @param {string} className @param {HeatMap} map @param {string} name @param {string} size @param {number} scale */
const figure = (className, map, name, size, scale) =>
  make("figure", { class: className }, map.svg,
    make("figcaption", {}, make("b", {}, name), size, make("br"), `max ${signed(scale).replace("+", "")}`));

/** @param {string} sign */
const operator = (sign) => make("span", { class: "sign", "aria-hidden": "true" }, sign);

/** @param {Factors} factors */
function drawMaps({ d, w, kernel, kernelSize: [height, width], dMul }) {
  const taps = height * width;
  const composed = d.length > 0;
  /** @type {HeatMap | null} */
  let dMap = null;
  const kernelMap = heatMap({ name: "Kernel", values: kernel, rows: height, columns: width, scale: largest(kernel) }, (cell) => {
    const tap = cell && cell.row * width + cell.column;
    dMap?.markRow(tap);
    readout.textContent = cell
      ? `kernel (${cell.row + 1}, ${cell.column + 1}) = ${signed(cell.value)}${composed ? `, row ${(tap ?? 0) + 1} of D times w` : ""}`
      : READ_HINT;
  });
  const result = figure("result", kernelMap, "kernel", `${height} × ${width}`, largest(kernel));
  if (!composed) return product.replaceChildren(result);
  dMap = heatMap({ name: "D", values: d, rows: taps, columns: dMul, scale: largest(d) }, (cell) => {
    readout.textContent = cell ? `D (${cell.row + 1}, ${cell.column + 1}) = ${signed(cell.value)}` : READ_HINT;
  });
  const wMap = heatMap({ name: "w", values: w, rows: dMul, columns: 1, scale: largest(w), stretch: true }, (cell) => {
    readout.textContent = cell ? `w (${cell.row + 1}) = ${signed(cell.value)}` : READ_HINT;
  });
  product.replaceChildren(
    figure("matrix", dMap, "D", `${taps} × ${dMul}`, largest(d)), operator("·"),
    figure("column", wMap, "w", `${dMul}`, largest(w)), operator("="), result);
}

/** @param {string} name @param {Float32Array} data @param {number} columns */
function asTable(name, data, columns) {
  const rows = Array.from({ length: data.length / columns }, (_, row) =>
    make("tr", {}, ...Array.from(data.subarray(row * columns, (row + 1) * columns), (value) => make("td", {}, signed(value)))));
  return make("table", {}, make("caption", {}, name), ...rows);
}

/** @param {Factors} factors */
function drawText({ d, w, kernel, kernelSize, dMul }) {
  const tables = [asTable("kernel", kernel, kernelSize[1])];
  if (d.length) tables.unshift(asTable("D", d, dMul), asTable("w", w, 1));
  text.replaceChildren(...tables);
}

/** @param {Factors} factors */
function explain({ composed, d, inputChannel }) {
  const channel = `Input channel ${inputChannel} of the network’s layer, counted from 0.`;
  if (composed) return `D belongs to the input channel, w to this pair of channels. ${channel}`;
  if (d.length) return `The file holds one ordinary kernel here, as folded layers are. D was drawn at random and w solved for, such that their product is that kernel: this is what the composed modes run. ${channel}`;
  return `The file holds one ordinary kernel here, as folded layers are; D and w are not in it. Open a composed model to see them. ${channel}`;
}

/** @param {HTMLInputElement} field @param {number} count */
function limit(field, count) {
  field.max = String(count - 1);
  field.value = String(Math.min(Math.max(0, Math.trunc(Number(field.value) || 0)), count - 1));
  field.disabled = count < 2;
  field.title = `0 to ${count - 1}`;
}

async function show() {
  const chosen = layers.find(({ name }) => name === layer.value);
  if (!chosen || !getFactors) return;
  limit(output, chosen.outChannels);
  limit(input, chosen.inChannels / chosen.groups);
  try {
    const factors = await getFactors(chosen.name, Number(output.value), Number(input.value));
    if (layer.value !== chosen.name) return;
    drawMaps(factors);
    note.textContent = explain(factors);
    readout.textContent = READ_HINT;
    legend.hidden = false;
    values.hidden = false;
    if (values.open) drawText(factors);
    else values.ontoggle = () => values.open && drawText(factors);
  } catch (error) {
    note.textContent = error instanceof Error ? error.message : String(error);
  }
}

/** `_blocks.3._depthwise_conv` is how files call it. @param {DoConvLayer} chosen */
const title = ({ name, kernel, inChannels, outChannels, groups }) =>
  `${name} · ${kernel.join(" × ")} · ${groups === 1 ? `${inChannels} → ${outChannels}` : `${outChannels} channels in ${groups} groups`}`;

/** @param {DoConvLayer[]} all the network's DO-Conv layers @param {GetFactors} get */
export function showLayers(all, get) {
  layers = all;
  getFactors = get;
  layer.replaceChildren(...all.map((one) => make("option", { value: one.name }, title(one))));
  layer.disabled = all.length === 0;
  if (all.length) return void show();
  product.replaceChildren();
  for (const field of [output, input]) field.disabled = true;
  legend.hidden = true;
  values.hidden = true;
  note.textContent = "This network has no DO-Conv layers: its kernels were learned directly.";
}

for (const field of [layer, output, input]) field.addEventListener("change", () => void show());
