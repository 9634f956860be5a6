// What the page and teach/worker.js say to each other; types only.

/** @typedef {import("../app/protocol.js").AdapterInfo} AdapterInfo */
/** @typedef {import("../app/protocol.js").ModelSource} ModelSource */
/** @typedef {import("../app/protocol.js").Preprocess} Preprocess */
/** @typedef {import("../doconv_teach.js").Taught} Taught */

/**
 * What is taught, and on what; whether it sees the square that the page shows.
 * @typedef {{ source: ModelSource, adapter: "webgpu" | "cpu", preprocess: Preprocess | null, seesSquare: boolean }} Base
 */
/** @typedef {{ epoch: number, epochs: number, loss: number, accuracy: number }} Epoch */

/**
 * What the worker can do: arguments and result.
 * @typedef {object} Methods
 * @property {[Base, { adapter: AdapterInfo, hasLastBlock: boolean }]} load
 * @property {[{ id: number, picture: ImageBitmap | Blob, name: string }, null]} show a picture of a class
 * @property {[{ id: number }, null]} forget a class's pictures
 * @property {[{ classes: { id: number, label: string }[], lastBlock: boolean }, Taught]} teach
 * @property {[{}, null]} stop learning after this epoch
 */

/** @typedef {{ event: "epoch", epoch: Epoch }} Event */

export {};
