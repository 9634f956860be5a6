// A model's bytes: a file beside the page, with its progress, or a file of the visitor's.

/** @typedef {import("../app/protocol.js").ModelSource} ModelSource */

/** Messages at most so often. */
const REPORT_MS = 50;

/**
 * @param {string} url
 * @param {(received: number, total: number | null) => void} onProgress
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function fetchBytes(url, onProgress) {
  // Beside the page, whichever worker asks.
  const response = await fetch(new URL(`../${url}`, import.meta.url)).catch(() => {
    throw new Error(`${url}: the download failed. Check the connection and reload the page.`);
  });
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}. Reload the page later.`);
  // A compressed answer's length is not that of its bytes.
  const length = response.headers.has("Content-Encoding") ? null : Number(response.headers.get("Content-Length")) || null;
  if (!response.body) return new Uint8Array(await response.arrayBuffer());
  /** @type {Uint8Array[]} */
  const chunks = [];
  let received = 0;
  let reported = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new Error(`${url}: the download broke off after ${received} bytes. Check the connection and reload the page.`);
    });
    if (done) break;
    chunks.push(value);
    received += value.length;
    if (performance.now() - reported > REPORT_MS) {
      reported = performance.now();
      onProgress(received, length);
    }
  }
  onProgress(received, length);
  const bytes = new Uint8Array(received);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * @param {ModelSource} source
 * @param {(received: number, total: number | null) => void} onProgress
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export const fetchModel = (source, onProgress) => "url" in source
  ? fetchBytes(source.url, onProgress)
  : source.file.arrayBuffer().then((buffer) => new Uint8Array(buffer), () => {
    throw new Error(`${source.name}: the file can no longer be read. Choose it again.`);
  });
