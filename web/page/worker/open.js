// From a model's bytes to a classifier, with what has to be assumed about files that say little.

import { fetchBytes } from "./download.js";

/** @typedef {typeof import("../doconv.js")} Doconv */
/** @typedef {import("../doconv.js").Classifier} Classifier */
/** @typedef {import("../doconv.js").LoadOptions} LoadOptions */
/** @typedef {import("../app/protocol.js").AdapterChoice} AdapterChoice */
/** @typedef {import("../app/protocol.js").Preprocess} Preprocess */

/**
 * @typedef {object} Ready
 * @property {Classifier} classifier
 * @property {number} rebuilds how many the page was told of
 * @property {Preprocess | null} assumedPreprocess
 * @property {boolean} borrowedLabels
 * @property {string | null} fallback
 */

/** @type {Preprocess} */
const USUAL = "imagenet";
const BUNDLED = "models/efficientnet-lite0-doconv.safetensors";
const IMAGENET_CLASSES = 1000;

/** @type {Promise<string[]> | null} */
let imagenetLabels = null;

/** The bundled model's labels: its answer for any picture names every class. @param {Doconv} doconv */
async function askForLabels(doconv) {
  const classifier = await doconv.Classifier.load(await fetchBytes(BUNDLED, () => {}), { adapter: "cpu", threads: 1, name: BUNDLED });
  const { predictions } = await classifier.classify(new ImageData(8, 8), { topK: IMAGENET_CLASSES });
  classifier.free();
  return predictions.sort((a, b) => a.class - b.class).map(({ label }) => label);
}

/**
 * Loads a network with D and W, even where the file holds their product only: the page shows both, and folds here.
 * @param {Doconv} doconv @param {Uint8Array} bytes @param {LoadOptions} options
 */
const load = (doconv, bytes, options) =>
  // Not every folded layer can be expanded; without that, such a network runs as it is.
  doconv.Classifier.load(bytes, { ...options, expand: true }).catch(() => doconv.Classifier.load(bytes, options));

/**
 * @param {Doconv} doconv
 * @param {{ bytes: Uint8Array, name: string, adapter: AdapterChoice, preprocess: Preprocess | null }} wanted
 * @returns {Promise<Ready>}
 */
export async function openClassifier(doconv, { bytes, name, adapter, preprocess }) {
  /** @type {LoadOptions} */
  const options = { name, adapter, preprocess: preprocess ?? USUAL };
  let fallback = null;
  let classifier = await load(doconv, bytes, options).catch((error) => {
    if (adapter !== "auto") throw error;
    fallback = `WebGPU failed (${error.message}); the CPU is used instead.`;
    options.adapter = "cpu";
    return load(doconv, bytes, options).catch(() => { throw error; });
  });
  const { saysPreprocess, hasLabels, classes } = classifier.model;
  const borrowedLabels = !hasLabels && classes === IMAGENET_CLASSES;
  if (borrowedLabels) {
    imagenetLabels ??= askForLabels(doconv);
    const labels = await imagenetLabels;
    classifier.free();
    classifier = await load(doconv, bytes, { ...options, labels });
  }
  return {
    classifier, borrowedLabels, fallback, rebuilds: classifier.rebuilds,
    assumedPreprocess: saysPreprocess ? null : (preprocess ?? USUAL),
  };
}
