// Threads of the CPU path: workers with an instance of the module each, and the memory in which they meet.
//
// All instances run the same network on the same input. Of a convolution each computes a part, puts it into the shared
// memory, waits for the others, and takes theirs. doconv.js imports this file.

/** So many threads by itself: every one takes as much memory as the first. */
const USUAL = 4;
const MOST = 16;

/** Floats of a region. A larger map is computed by all alike. What nobody writes takes no memory. */
const REGION = 4 << 20;
const REGIONS = 2;

/** Waking a thread takes longer than most steps differ by, so it looks so often before it sleeps. */
const LOOKS = 3000;

/** Nobody needs so long to start, and to load a network or compute a step: a worker that the browser has ended never comes. */
const START_MS = 10_000;
const PATIENCE_MS = 30_000;

/** Words of the control block, and its bytes. */
const [ARRIVED, BROKEN] = [0, 1];
const CONTROL = 64;

/** Floats before an input: mode, batch, and how many follow. */
const HEADER = 3;

/** @typedef {{ memory: SharedArrayBuffer, members: number, index: number }} Place */

/** Waiting is allowed in workers only. */
const canShare = () => globalThis.crossOriginIsolated && typeof SharedArrayBuffer !== "undefined"
  && "WorkerGlobalScope" in globalThis && typeof Worker !== "undefined";

/** The worker's answer to a message. @param {Worker} worker @param {unknown} message @returns {Promise<boolean>} */
const ask = (worker, message) => new Promise((resolve) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    resolve(false);
  };
  worker.postMessage(message);
});

/** Whether all agree, soon enough. @param {Promise<boolean>[]} answers @param {number} ms */
async function all(answers, ms) {
  const late = new Promise((resolve) => setTimeout(resolve, ms, [false]));
  return (await Promise.race([Promise.all(answers), late])).every(Boolean);
}

/** An instance's place among those that share the work; the first one leads. */
export class Team {
  #control;
  /** The next meeting is about one, while some still read the other. @type {Float32Array[]} */
  #regions;
  #members;
  #index;
  #meetings = 0;
  /** @type {Worker[]} */
  #workers = [];

  /** @param {Place} place */
  constructor({ memory, members, index }) {
    this.#control = new Int32Array(memory, 0, CONTROL / 4);
    this.#regions = Array.from({ length: REGIONS }, (_, region) => new Float32Array(memory, CONTROL + 4 * REGION * region, REGION));
    this.#members = members;
    this.#index = index;
  }

  /**
   * Starts the other threads. Nothing where there cannot be any, or one does not start: then one thread does everything.
   * @param {WebAssembly.Module} module
   * @param {number} [wanted]
   * @returns {Promise<Team | undefined>}
   */
  static async gather(module, wanted) {
    const members = Math.min(wanted ?? Math.min(navigator.hardwareConcurrency, USUAL), MOST);
    // A browser may not tell.
    if (!(members > 1) || !canShare()) return undefined;
    /** @type {Team | undefined} */
    let team;
    try {
      const memory = new SharedArrayBuffer(CONTROL + 4 * REGION * REGIONS);
      team = new Team({ memory, members, index: 0 });
      for (let index = 1; index < members; index++) team.#workers.push(new Worker(new URL("./helper.js", import.meta.url), { type: "module" }));
      const answers = team.#workers.map((worker, at) => ask(worker, { module, place: { memory, members, index: at + 1 } }));
      if (await all(answers, START_MS)) return team;
    } catch {
      // Too little memory, or a policy of the page's that forbids it.
    }
    team?.end();
    return undefined;
  }

  /** Gives all the network; says whether they have it. @param {Uint8Array | ArrayBuffer} model @param {unknown} options */
  load(model, options) {
    const plain = JSON.parse(JSON.stringify(options ?? {})); // functions cannot be sent
    return all(this.#workers.map((worker) => ask(worker, { model, options: plain })), PATIENCE_MS);
  }

  /** How many share the work now. */
  get members() {
    return this.#broken ? 1 : this.#members;
  }

  get index() {
    return this.#index;
  }

  get #broken() {
    return Atomics.load(this.#control, BROKEN) !== 0;
  }

  get #region() {
    return this.#regions[this.#meetings % REGIONS];
  }

  /** The leader tells the others what to run; they get it from `next`. @param {number} mode @param {number} batch @param {Float32Array} input */
  begin(mode, batch, input) {
    const region = this.#region;
    if (this.#broken || HEADER + input.length > region.length) return false;
    region.set([mode, batch, input.length]);
    region.set(input, HEADER);
    return this.#meet(PATIENCE_MS);
  }

  /** Waits for what the leader wants: what it wrote there. Nothing if the team is no more. */
  next() {
    const region = this.#region;
    if (!this.#meet(Infinity)) return undefined;
    return region.slice(0, HEADER + region[HEADER - 1]);
  }

  /** Gives the others elements of a map and takes the rest from them; `false` if that is not to be had. @param {Float32Array} map @param {number} start @param {number} end */
  exchange(map, start, end) {
    const region = this.#region;
    if (this.#broken || map.length > region.length) return false;
    region.set(map.subarray(start, end), start);
    if (!this.#meet(PATIENCE_MS)) return false;
    map.set(region.subarray(0, start));
    map.set(region.subarray(end, map.length), end);
    return true;
  }

  /** Waits until all are here. Then a region that was met about two meetings ago is nobody's any more. @param {number} patience */
  #meet(patience) {
    const due = ++this.#meetings * this.#members;
    let arrived = Atomics.add(this.#control, ARRIVED, 1) + 1;
    if (((arrived - due) | 0) === 0) Atomics.notify(this.#control, ARRIVED);
    // The count may have gone on beyond this meeting, and may overflow.
    for (let looks = 0; ((arrived - due) | 0) < 0; looks++) {
      if (this.#broken) return false;
      if (looks >= LOOKS && Atomics.wait(this.#control, ARRIVED, arrived, patience) === "timed-out") {
        this.leave();
        return false;
      }
      arrived = Atomics.load(this.#control, ARRIVED);
    }
    return !this.#broken;
  }

  /** Nobody waits for anybody any more. */
  leave() {
    Atomics.store(this.#control, BROKEN, 1);
    // Whoever is about to sleep sees another count.
    Atomics.add(this.#control, ARRIVED, 1);
    Atomics.notify(this.#control, ARRIVED);
  }

  /** Ends the other threads. */
  end() {
    this.leave();
    for (const worker of this.#workers) worker.terminate();
  }
}
