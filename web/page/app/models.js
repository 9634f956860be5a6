// The choice of a model, its download, and what had to be assumed about it.

import { byId, make } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./protocol.js").ModelSource} ModelSource */
/** @typedef {import("./protocol.js").Opened} Opened */
/** @typedef {import("./protocol.js").Preprocess} Preprocess */

/** @param {string} name @param {string} title @returns {ModelSource} */
const bundled = (name, title) => ({ name, title, url: `models/${name}` });

/** Those that come with the page, the usual one first. */
export const BUNDLED = [
  bundled("efficientnet-lite0-doconv.safetensors", "EfficientNet-Lite0, ImageNet"),
  bundled("resnet20-cifar10-doconv.safetensors", "ResNet-20, CIFAR-10"),
];

const select = byId("model", HTMLSelectElement);
const note = byId("model-note", HTMLElement);
const assumption = byId("assumption", HTMLElement);
const assumptionText = byId("assumption-text", HTMLElement);
const preprocessRow = byId("preprocess-row", HTMLElement);
const preprocess = byId("preprocess", HTMLSelectElement);
const answers = byId("answers", HTMLElement);
const loading = byId("loading", HTMLElement);
const loadingText = byId("loading-text", HTMLElement);
const loadingAmount = byId("loading-amount", HTMLElement);
const loadingBar = byId("loading-bar", HTMLProgressElement);
const predictions = byId("predictions", HTMLElement);

/** @type {Map<string, ModelSource>} */
const sources = new Map();

/** What people call it. @param {ModelSource} source */
export const titleOf = (source) => ("url" in source ? source.title.split(",")[0] : source.name);

/** @param {ModelSource} source @returns {string} its key in the list */
export function addModel(source) {
  const key = "file" in source ? `${source.name} ${source.file.lastModified} ${source.file.size}` : source.name;
  if (!sources.has(key)) {
    select.append(make("option", { value: key }, "url" in source ? source.title : `${source.name} (your file)`));
  }
  sources.set(key, source);
  return key;
}

/** A file that could not be opened is not offered again. @param {string} key */
export function removeModel(key) {
  if (BUNDLED.some(({ name }) => name === key)) return;
  sources.delete(key);
  [...select.options].find(({ value }) => value === key)?.remove();
}

/** @param {string} key */
export function selectModel(key) {
  select.value = key;
}

/** @param {string} key */
export const sourceOf = (key) => sources.get(key) ?? BUNDLED[0];

/** @param {string} text */
export function showLoading(text) {
  loadingText.textContent = text;
  loadingAmount.textContent = "";
  loadingBar.removeAttribute("value");
  loadingBar.hidden = false;
  loading.hidden = false;
  answers.classList.toggle("stale", predictions.childElementCount > 0);
}

/** @param {number} received @param {number | null} total */
export function showDownload(received, total) {
  loadingText.textContent = "Downloading the network";
  loadingAmount.textContent = `${format.megabytes(received)}${total ? ` of ${format.megabytes(total)}` : ""} MB`;
  if (!total) return;
  loadingBar.max = total;
  loadingBar.value = received;
}

/** Ends what `showLoading` began. @param {boolean} somethingIsOpen */
export function hideLoading(somethingIsOpen) {
  loading.hidden = somethingIsOpen;
  loadingBar.hidden = !somethingIsOpen;
  loadingAmount.textContent = "";
  if (!somethingIsOpen) loadingText.textContent = "No network is loaded";
  answers.classList.remove("stale");
}

/** @param {Opened} opened @param {ModelSource} source */
export function showModel({ model, assumedPreprocess, borrowedLabels }, source) {
  const facts = [
    `${format.large(model.parameters)} parameters`,
    `${format.count(model.classes)} classes`,
    `${format.count(model.doconvLayers)} DO-Conv ${model.doconvLayers === 1 ? "layer" : "layers"}`,
  ];
  if ("file" in source) facts.push("your file stays on this device");
  note.textContent = facts.join(" · ");
  const texts = [];
  if (assumedPreprocess) texts.push("This file does not say how photographs become its input, so this is a guess.");
  if (borrowedLabels) texts.push("It names no classes; with 1000 of them, ImageNet’s names are shown.");
  assumptionText.textContent = texts.join(" ");
  preprocessRow.hidden = !assumedPreprocess;
  if (assumedPreprocess) preprocess.value = assumedPreprocess;
  assumption.hidden = texts.length === 0;
}

/** @param {{ onModel: (key: string) => void, onPreprocess: (choice: Preprocess) => void }} handlers */
export function listenForModels({ onModel, onPreprocess }) {
  select.addEventListener("change", () => onModel(select.value));
  preprocess.addEventListener("change", () => onPreprocess(/** @type {Preprocess} */ (preprocess.value)));
}
