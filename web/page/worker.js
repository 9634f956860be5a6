// The worker: everything that computes. app/protocol.js says what it is asked and what it answers.

import { decode } from "./worker/decode.js";
import { fetchModel } from "./worker/download.js";
import { openClassifier } from "./worker/open.js";
import { serve } from "./worker/serve.js";

/** @typedef {import("./app/protocol.js").Event} WorkerEvent */
/** @typedef {import("./app/protocol.js").Methods} Methods */
/** @typedef {import("./app/protocol.js").ModelSource} ModelSource */
/** @typedef {import("./worker/open.js").Ready} Ready */

/** The module; loaded while the model is being fetched. */
const doconv = import("./doconv.js").then(async (module) => {
  await module.default();
  return module;
}, () => {
  throw new Error("doconv.js could not be loaded. Check the connection and reload the page.");
});
doconv.catch(() => {}); // each request reports it

/** @type {{ name: string, bytes: Uint8Array, source: ModelSource, preprocess: string | null, ready: Map<"webgpu" | "cpu", Ready>, active: Ready } | null} */
let current = null;
/** @type {ImageBitmap | null} */
let picture = null;
let stopped = false;

/** @param {WorkerEvent} event */
const tell = (event) => self.postMessage(event);

/** @param {ModelSource} a @param {ModelSource} b */
const sameSource = (a, b) => ("url" in a ? "url" in b && a.url === b.url : "file" in b && a.file.name === b.file.name
  && a.file.size === b.file.size && a.file.lastModified === b.file.lastModified);

/** @param {ModelSource} source */
const bytesOf = (source) => fetchModel(source, (received, total) => tell({ event: "download", received, total }));

function active() {
  if (!current) throw new Error("No network is loaded yet. Wait until the download is done, or reload the page.");
  return current.active;
}

/** A lost device is rebuilt inside the module, which only counts it. @param {Ready} ready */
function watch(ready) {
  if (ready.classifier.rebuilds > ready.rebuilds) tell({ event: "rebuilt", times: ready.classifier.rebuilds });
  ready.rebuilds = ready.classifier.rebuilds;
}

/** @type {{ [M in keyof Methods]: (params: Methods[M][0]) => Promise<Methods[M][1]> }} */
const methods = {
  adapters: async () => (await doconv).adapters(),

  async open({ source, adapter, preprocess }) {
    const same = current && sameSource(current.source, source);
    const bytes = current && same ? current.bytes : await bytesOf(source);
    tell({ event: "preparing" });
    const module = await doconv;
    const kept = current && same && current.preprocess === preprocess ? current.ready : new Map();
    const known = adapter === "auto" ? undefined : kept.get(adapter);
    const ready = known ?? await openClassifier(module, { bytes, name: source.name, adapter, preprocess });
    kept.set(ready.classifier.adapter.type === "cpu" ? "cpu" : "webgpu", ready);
    if (current && current.ready !== kept) for (const old of current.ready.values()) old.classifier.free();
    current = { name: source.name, bytes, source, preprocess, ready: kept, active: ready };
    const { classifier, assumedPreprocess, borrowedLabels, fallback } = ready;
    return {
      model: classifier.model, adapter: classifier.adapter, loadTimes: classifier.loadTimes, layers: classifier.layers(),
      assumedPreprocess, borrowedLabels, fallback,
    };
  },

  async classify({ frame, picture: given, name, mode, topK }) {
    const bitmap = given instanceof Blob ? await decode(given, name) : given ?? picture;
    if (!bitmap) throw new Error("There is no picture yet. Choose an image.");
    const ready = active();
    const { predictions, elapsedMs } = await ready.classifier.classify(bitmap, { topK, mode });
    watch(ready);
    if (picture !== bitmap) picture?.close();
    picture = bitmap;
    return { frame, predictions, elapsedMs, width: bitmap.width, height: bitmap.height };
  },

  async compare({ repeat }) {
    if (!picture) throw new Error("There is no picture to compare the modes on. Choose an image.");
    const ready = active();
    const results = await ready.classifier.compareModes(picture, { repeat });
    watch(ready);
    return results;
  },

  factors: async ({ layer, output, input }) => active().classifier.factors(layer, output, input),

  async benchmark({ source, adapter, tune }) {
    const [module, bytes] = await Promise.all([doconv, bytesOf(source)]);
    return module.benchmark(bytes, {
      adapter, name: source.name, suites: ["layers", "networks"], tune: tune ? "full" : "load",
      onProgress: ({ done, total, label }) => {
        tell({ event: "progress", done, total, label });
        return !stopped;
      },
    });
  },

  async stop() {
    stopped = true;
    return null;
  },
};

serve(methods);
