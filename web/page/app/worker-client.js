// The page's side of a worker: one promise for each request.

/** @typedef {import("./protocol.js").AnyMethods} AnyMethods */

/** An error whose message is meant for people; after a fatal one the worker is of no more use. */
export class WorkerError extends Error {
  /** @param {string} message @param {boolean} fatal */
  constructor(message, fatal) {
    super(message);
    this.fatal = fatal;
  }
}

/** @template {AnyMethods} M what the worker can do @template E what it tells unasked */
export class WorkerClient {
  #worker;
  #next = 0;
  #started = false;
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();

  /** @param {(event: E) => void} onEvent @param {string} [script] beside the page */
  constructor(onEvent, script = "worker.js") {
    this.#worker = new Worker(new URL(`../${script}`, import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => {
      this.#started = true;
      if ("event" in data) return onEvent(data);
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("error" in data) waiting?.reject(new WorkerError(data.error.message, data.error.fatal));
      else waiting?.resolve(data.result);
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      const why = event.message ? ` (${event.message.replace(/^Uncaught /, "")})` : "";
      // A module that stops in the midst of something asynchronous never answers: this event is all that comes.
      this.#end(this.#started
        ? `The module stopped${why}. Try another picture, model or adapter.`
        : `The page's worker did not start${why}. Reload the page; if that does not help, update the browser.`);
    });
  }

  /**
   * @template {keyof M} N
   * @param {N} method
   * @param {M[N][0]} params
   * @param {Transferable[]} [transfer]
   * @returns {Promise<M[N][1]>}
   */
  call(method, params, transfer = []) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, params }, transfer);
    });
  }

  /** Ends the worker with all its memory; what is under way is rejected with `reason`. @param {string} reason */
  terminate(reason) {
    this.#worker.terminate();
    this.#end(reason);
  }

  /** @param {string} reason */
  #end(reason) {
    for (const { reject } of this.#waiting.values()) reject(new WorkerError(reason, true));
    this.#waiting.clear();
  }
}
