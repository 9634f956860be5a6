// Reads ONNX files with a module of its own, fetched when the first one comes. doconv.js imports this file.

/** @type {Promise<typeof import("./doconv_onnx.js")> | null} */
let module = null;

async function load() {
  const onnx = await import("./doconv_onnx.js");
  await onnx.default();
  return onnx;
}

/**
 * An ONNX file as a model file.
 * @param {string} name what errors call it
 * @param {Uint8Array} bytes
 * @returns {Promise<Uint8Array>}
 */
export async function onnxToModelFile(name, bytes) {
  module ??= load();
  const { toModelFile } = await module.catch((error) => {
    module = null; // the next attempt fetches it again
    throw new Error(`${name}: the part that reads ONNX files could not be loaded (${error.message})`);
  });
  return toModelFile(name, bytes);
}
