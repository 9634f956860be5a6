// What page and worker say to each other; types only.
//
// The page sends a `Request` and gets one `Reply` with the same id. `Event`s come on their own.

/** @typedef {import("../doconv.js").AdapterInfo} AdapterInfo */
/** @typedef {import("../doconv.js").BenchmarkRecord} BenchmarkRecord */
/** @typedef {import("../doconv.js").DoConvLayer} DoConvLayer */
/** @typedef {import("../doconv.js").Factors} Factors */
/** @typedef {import("../doconv.js").LoadTimes} LoadTimes */
/** @typedef {import("../doconv.js").Mode} Mode */
/** @typedef {import("../doconv.js").ModeResult} ModeResult */
/** @typedef {import("../doconv.js").ModelInfo} ModelInfo */
/** @typedef {import("../doconv.js").Prediction} Prediction */
/** @typedef {"auto" | "webgpu" | "cpu"} AdapterChoice */
/** @typedef {"imagenet" | "symmetric" | "unit"} Preprocess */

/**
 * Where a model's bytes are: beside the page, or in a file, of the visitor's or made by teaching. It sees the square that the
 * page shows if it `seesSquare`.
 * @typedef {{ name: string, title: string, url: string } | { name: string, file: File, seesSquare?: boolean }} ModelSource
 */

/**
 * A model that is ready.
 * @typedef {object} Opened
 * @property {ModelInfo} model
 * @property {AdapterInfo} adapter
 * @property {LoadTimes} loadTimes
 * @property {DoConvLayer[]} layers
 * @property {Preprocess | null} assumedPreprocess what the worker chose because the file does not say
 * @property {boolean} borrowedLabels whether the names of the classes are the bundled model's
 * @property {string | null} fallback why WebGPU was given up, in words
 */

/**
 * @typedef {object} Classified
 * @property {number} frame the request's own number, to tell old answers from new ones
 * @property {Prediction[]} predictions
 * @property {number} elapsedMs
 * @property {number} width of the picture
 * @property {number} height
 */

/**
 * What the worker can do: arguments and result.
 * @typedef {object} Methods
 * @property {[{}, AdapterInfo[]]} adapters every adapter of this browser
 * @property {[{ source: ModelSource, adapter: AdapterChoice, preprocess: Preprocess | null }, Opened]} open
 * @property {[{ frame: number, picture: ImageBitmap | Blob | null, name: string, mode: Mode, topK: number }, Classified]} classify
 *   `picture: null` is the last one again
 * @property {[{ repeat?: number }, ModeResult[]]} compare the modes on the last picture
 * @property {[{ layer: string, output: number, input: number }, Factors]} factors
 * @property {[{ source: ModelSource, adapter: AdapterChoice, tune: boolean }, BenchmarkRecord]} benchmark
 * @property {[{}, null]} stop the benchmark, at its next step
 */

/** What any worker can do. @typedef {Record<string, [any, any]>} AnyMethods */

/** @typedef {{ id: number, method: string, params: any }} Request */
/** @typedef {{ id: number, result: any } | { id: number, error: { message: string, fatal: boolean } }} Reply */

/**
 * @typedef {{ event: "download", received: number, total: number | null }
 *   | { event: "preparing" }
 *   | { event: "rebuilt", times: number }
 *   | { event: "progress", done: number, total: number, label: string }} Event
 */

export {};
