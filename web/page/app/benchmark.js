// The benchmark: in a worker of its own, so that stopping it gives all its memory back.

import { chart } from "./chart.js";
import { byId, make } from "./dom.js";
import * as format from "./format.js";
import * as status from "./status.js";
import { WorkerClient } from "./worker-client.js";

/** @typedef {import("./protocol.js").BenchmarkRecord} BenchmarkRecord */
/** @typedef {import("./protocol.js").Event} WorkerEvent */
/** @typedef {import("./protocol.js").Methods} Methods */
/** @typedef {import("./protocol.js").ModelSource} ModelSource */

const run = byId("bench", HTMLButtonElement);
const stop = byId("bench-stop", HTMLButtonElement);
const tune = byId("bench-tune", HTMLInputElement);
const progress = byId("bench-progress", HTMLElement);
const bar = byId("bench-bar", HTMLProgressElement);
const text = byId("bench-text", HTMLElement);
const place = byId("bench-chart", HTMLElement);
const download = byId("bench-download", HTMLElement);

/** A worker that is busy computing hears nothing: after this time it is ended. */
const PATIENCE_MS = 3000;

let address = "";

/** @param {BenchmarkRecord} record */
function offer(record) {
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(new Blob([JSON.stringify(record, null, 2)], { type: "application/json" }));
  const adapter = record.adapter.name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  const file = `doconv-bench-${adapter || "adapter"}-${new Date().toISOString().slice(0, 10)}.json`;
  download.replaceChildren(make("a", { class: "button quiet", href: address, download: file }, "Download results (JSON)"));
}

/** @param {BenchmarkRecord} record */
function show(record) {
  place.replaceChildren(...chart(record));
  offer(record);
  const wrong = record.results.filter((result) => result.error !== undefined || !result.check.ok).length;
  const cases = `${format.count(record.results.length)} ${record.results.length === 1 ? "case" : "cases"}`;
  if (wrong) status.problem(`The benchmark is done: ${format.count(wrong)} of ${cases} gave a wrong answer on this adapter. Please download the results and report them.`);
  else status.tell(`The benchmark is done: ${cases}, all answers right.`);
}

/** @param {boolean} running */
function showRunning(running) {
  run.disabled = tune.disabled = running;
  stop.hidden = !running;
  progress.hidden = !running;
  if (running) stop.focus();
  else if (document.activeElement === document.body) run.focus();
}

/** @param {ModelSource} source @param {"webgpu" | "cpu"} adapter */
async function benchmark(source, adapter) {
  bar.removeAttribute("value");
  text.textContent = "Starting.";
  /** @type {WorkerClient<Methods, WorkerEvent>} */
  const client = new WorkerClient((event) => {
    if (event.event !== "progress") return;
    bar.max = event.total;
    bar.value = event.done;
    text.textContent = `${format.count(event.done)} of ${format.count(event.total)} · ${event.label}`;
  });
  let stopped = false;
  stop.onclick = () => {
    stopped = true;
    text.textContent = "Stopping.";
    void client.call("stop", {}).catch(() => {});
    setTimeout(() => client.terminate("stopped"), PATIENCE_MS);
  };
  showRunning(true);
  try {
    const record = await client.call("benchmark", { source, adapter, tune: tune.checked });
    if (record.results.length) show(record);
    if (stopped) status.tell(record.results.length ? "The benchmark was stopped; the chart shows what was measured." : "The benchmark was stopped.");
  } catch (error) {
    if (stopped) status.tell("The benchmark was stopped.");
    else status.problem(error);
  } finally {
    client.terminate("done");
    showRunning(false);
  }
}

/**
 * @param {object} page
 * @param {() => { source: ModelSource, adapter: "webgpu" | "cpu" }} page.subject what is to be measured
 * @param {() => void} page.quiet stops what would disturb the measurement
 */
export function listenForBenchmark({ subject, quiet }) {
  run.addEventListener("click", () => {
    quiet();
    const { source, adapter } = subject();
    void benchmark(source, adapter);
  });
}

export function enableBenchmark() {
  run.disabled = tune.disabled = false;
}
