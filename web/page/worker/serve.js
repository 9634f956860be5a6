// The worker's side of app/worker-client.js: requests one after the other, and errors in words.

/** @typedef {import("../app/protocol.js").AnyMethods} AnyMethods */
/** @typedef {import("../app/protocol.js").Request} Request */

/** @param {unknown} error @returns {{ message: string, fatal: boolean }} */
function inWords(error) {
  if (error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError) {
    return { message: "This browser cannot run the module: it needs WebAssembly with SIMD. Update the browser.", fatal: false };
  }
  if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
    return { message: `The module stopped, most likely for want of memory (${error.message}). Try a smaller model or picture, or close other tabs.`, fatal: true };
  }
  return { message: error instanceof Error ? error.message : String(error), fatal: false };
}

/**
 * Answers requests with these methods; `stop` does not wait for its turn.
 * @template {AnyMethods} M
 * @param {{ [N in keyof M]: (params: M[N][0]) => Promise<M[N][1]> }} methods
 */
export function serve(methods) {
  /** One after the other, so that nothing is freed while it computes. @type {Promise<unknown>} */
  let last = Promise.resolve();

  /** @param {Request} request */
  async function answer({ id, method, params }) {
    const run = /** @type {(params: any) => Promise<any>} */ (methods[/** @type {keyof M} */ (method)]);
    try {
      const turn = method === "stop" ? run(params) : last.then(() => run(params));
      if (method !== "stop") last = turn.catch(() => {});
      self.postMessage({ id, result: await turn });
    } catch (error) {
      self.postMessage({ id, error: inWords(error) });
    }
  }

  addEventListener("message", ({ data }) => void answer(data));
}
