// Where still pictures and model files come from: file choosers, drag and drop, the clipboard, the samples.

import { byId } from "./dom.js";

/**
 * @typedef {object} Handlers
 * @property {(file: File) => void} onImage
 * @property {(file: File) => void} onModel
 * @property {(url: string, description: string) => void} onSample
 */

const samples = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("[data-photo]")]);

/** The first bytes of a model file, whatever its name: safetensors has a length and `{`, ONNX its version. @param {File} file */
async function isModel(file) {
  if (/\.(safetensors|onnx)$/i.test(file.name)) return true;
  if (file.type.startsWith("image/")) return false;
  const head = new Uint8Array(await file.slice(0, 9).arrayBuffer());
  return (head[8] === 0x7b && head[5] === 0 && head[6] === 0 && head[7] === 0) || (head[0] === 0x08 && head[1] < 0x20);
}

/** @param {Handlers} handlers @returns {(files: Iterable<File>) => Promise<void>} */
const opener = ({ onImage, onModel }) => async (files) => {
  // One of each kind: there is one network and one picture.
  let image, model;
  for (const file of files) {
    if (await isModel(file)) model ??= file;
    else image ??= file;
  }
  if (model) onModel(model);
  if (image) onImage(image);
};

/** @param {HTMLInputElement} input @param {(files: Iterable<File>) => void} open */
function listen(input, open) {
  input.addEventListener("change", () => {
    open([...(input.files ?? [])]);
    input.value = ""; // so that the same file can be chosen again
  });
}

/** @param {(files: Iterable<File>) => void} open */
function acceptDrops(open) {
  const overlay = byId("drop", HTMLElement);
  let depth = 0;
  /** @param {DragEvent} event */
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  /** @param {DragEvent} event @param {number} step */
  const enter = (event, step) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = Math.max(0, depth + step);
    overlay.hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => enter(event, 1));
  addEventListener("dragleave", (event) => enter(event, -1));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    depth = 0;
    overlay.hidden = true;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    open([...(event.dataTransfer?.files ?? [])]);
  });
}

/** @param {Handlers} handlers */
export function listenForPictures(handlers) {
  const open = opener(handlers);
  listen(byId("image-file", HTMLInputElement), open);
  listen(byId("model-file", HTMLInputElement), open);
  acceptDrops(open);
  addEventListener("paste", (event) => {
    const files = event.clipboardData?.files;
    if (files?.length) {
      event.preventDefault();
      open([...files]);
    }
  });
  for (const sample of samples) {
    sample.addEventListener("click", () => {
      const description = sample.querySelector("img")?.alt ?? "";
      handlers.onSample(sample.dataset.photo ?? "", description);
    });
  }
}

/** Shows which sample is the current picture, if any. @param {string | null} url */
export function markSample(url) {
  for (const sample of samples) sample.setAttribute("aria-pressed", String(sample.dataset.photo === url));
}

/** Fetches the samples' pictures: after the network, because they are large. */
export function loadSamples() {
  for (const sample of samples) {
    const image = sample.querySelector("img");
    if (image && !image.src) image.src = sample.dataset.photo ?? "";
  }
}
