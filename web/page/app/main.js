// The page: what happens when. All arithmetic of the network is in worker.js, off this thread.
//
//   worker-client.js  the worker's methods as promises; protocol.js says which there are
//   viewport.js       the picture or camera, and the square that the network sees
//   pictures.js       files, drops, pastes, samples      camera.js       one frame at a time
//   predictions.js    the list                           timing.js       the figures under it
//   modes.js          the switch and the comparison      kernel-view.js  D · w = kernel (heat-map.js)
//   models.js         choice, download, assumptions      adapter.js      what it runs on (browser-advice.js)
//   benchmark.js      the benchmark (chart.js)           status.js       every message and error
//   tabs.js           classifying or teaching            ../teach/       teaching, fetched when it is wanted
//   format.js         numbers                            dom.js          elements

import * as adapterView from "./adapter.js";
import { enableBenchmark, listenForBenchmark } from "./benchmark.js";
import { Camera } from "./camera.js";
import { byId } from "./dom.js";
import * as format from "./format.js";
import { showLayers } from "./kernel-view.js";
import * as models from "./models.js";
import * as modes from "./modes.js";
import { listenForPictures, loadSamples, markSample } from "./pictures.js";
import * as predictions from "./predictions.js";
import * as status from "./status.js";
import { currentTab, listenForTabs } from "./tabs.js";
import * as timing from "./timing.js";
import * as viewport from "./viewport.js";
import { WorkerClient, WorkerError } from "./worker-client.js";

/** @typedef {import("./protocol.js").AdapterChoice} AdapterChoice */
/** @typedef {import("./protocol.js").Classified} Classified */
/** @typedef {import("./protocol.js").Event} WorkerEvent */
/** @typedef {ReturnType<typeof import("../teach/teach.js").openTeaching>} Lesson */
/** @typedef {import("./protocol.js").Methods} Methods */
/** @typedef {import("./protocol.js").Mode} Mode */
/** @typedef {import("./protocol.js").ModelSource} ModelSource */
/** @typedef {import("./protocol.js").Opened} Opened */
/** @typedef {import("./protocol.js").Preprocess} Preprocess */

/** Smoothing needs more classes than are shown. */
const TOP_K = 12;
const FIRST_PICTURE = "photos/chelsea.png";

const stage = byId("stage", HTMLElement);
const cameraButton = byId("camera", HTMLButtonElement);
const flipButton = byId("flip", HTMLButtonElement);
const smooth = byId("smooth", HTMLInputElement);
const smoothRow = byId("smooth-row", HTMLElement);

let client = newClient();
/** Fetched while the network is; not there, the page waits for a picture of the visitor's. */
const firstPicture = fetchPicture(FIRST_PICTURE).catch(() => null);
/** What is open, and what was asked for. */
const state = {
  /** @type {Opened | null} */ opened: null,
  modelKey: models.BUNDLED.map(models.addModel)[0],
  /** @type {AdapterChoice} */ adapter: "auto",
  /** @type {Preprocess | null} */ preprocess: null,
  /** @type {Mode} */ mode: "folded",
  /** @type {{ blob: Blob, name: string } | null} */ picture: null,
  frame: 0,
  /** How often the worker was replaced since something ran. */ restarts: 0,
  /** Whether nothing has run since the last load. */ cold: true,
};
const camera = new Camera(takeFrame);
/** The part of the page that teaches, once it was wanted. @type {Promise<Lesson> | null} */
let teaching = null;
/** The same when it is there. */
let lesson = /** @type {Lesson | null} */ (null);
/** The network that was taught last, in the list of models. */
let taughtKey = "";

// ---- The worker --------------------------------------------------------------------------------------------------

/** @returns {WorkerClient<Methods, WorkerEvent>} */
function newClient() {
  return new WorkerClient((event) => {
    if (event.event === "download") models.showDownload(event.received, event.total);
    if (event.event === "preparing") models.showLoading("Preparing the network");
    if (event.event === "rebuilt") {
      timing.restart();
      status.tell("The GPU was lost and rebuilt; nothing else has changed.");
    }
  });
}

/**
 * Says what went wrong. A worker whose module is broken is replaced by a new one, on the same adapter, and if that does not
 * go well either, on the CPU.
 * @param {unknown} error
 */
function report(error) {
  status.problem(error);
  if (!(error instanceof WorkerError && error.fatal) || !state.opened) return;
  const { opened } = state;
  state.opened = null;
  client.terminate(error.message);
  client = newClient();
  state.restarts += 1;
  if (state.restarts > 2) return forgetAnswers();
  const adapter = state.restarts > 1 || adapterView.isCpu(opened.adapter) ? "cpu" : "webgpu";
  void open({ key: state.modelKey, adapter, preprocess: state.preprocess }).then((again) => {
    if (again) status.problem(`${error.message} The network was loaded again, on the ${adapter === "cpu" ? "CPU" : "same adapter"}.`);
  });
}

/** What is shown is of a network that is no longer there, or of another than the one that is open. */
function forgetAnswers() {
  predictions.clear();
  timing.clear();
}

// ---- Models and adapters -----------------------------------------------------------------------------------------

/**
 * Opens a model, and classifies the current picture again. If it fails, what was open stays.
 * @param {{ key: string, adapter: AdapterChoice, preprocess: Preprocess | null }} wanted
 */
async function open({ key, adapter, preprocess }) {
  const source = models.sourceOf(key);
  const before = state.opened;
  const first = before === null;
  models.showLoading(first ? "Loading the network" : `Loading ${models.titleOf(source)}`);
  try {
    const opened = await client.call("open", { source, adapter, preprocess });
    Object.assign(state, { opened, modelKey: key, adapter, preprocess, cold: true });
    models.selectModel(key);
    models.showModel(opened, source);
    modes.showModel(opened.model);
    adapterView.showAdapter(opened.adapter);
    timing.restart();
    timing.showLoad(opened, adapterView.describe(opened.adapter), first ? performance.now() : null);
    viewport.setCropKnown(seesSquare(source, opened));
    showLayers(opened, (layer, output, input) => client.call("factors", { layer, output, input }));
    enableBenchmark();
    await showFirstPicture();
    if (!camera.running) await classifyPicture(state.picture, first);
    if (opened.fallback) status.problem(opened.fallback);
    else if (!state.picture) status.problem("The sample photograph could not be fetched. Choose an image.");
    else if (first) status.mention(`Ready, on the ${adapterView.describe(opened.adapter)}.`);
    else status.tell(`${models.titleOf(source)} runs on the ${adapterView.describe(opened.adapter)}.`);
    return true;
  } catch (error) {
    if (key !== state.modelKey) models.removeModel(key);
    models.selectModel(state.modelKey);
    adapterView.showAdapter(state.opened?.adapter ?? null);
    if (first || state.opened !== before) forgetAnswers();
    report(error);
    return false;
  } finally {
    models.hideLoading(state.opened !== null);
  }
}

/** Whether a network sees the square that the page shows. @param {ModelSource} source @param {Opened} opened */
const seesSquare = (source, opened) => "url" in source || source.seesSquare === true || opened.assumedPreprocess !== null;

/** @param {AdapterChoice} adapter */
const openOn = (adapter) => open({ key: state.modelKey, adapter, preprocess: state.preprocess });

/** @param {string} key */
const openModel = (key) => open({ key, adapter: state.adapter, preprocess: null });

// ---- Still pictures ----------------------------------------------------------------------------------------------

/**
 * Classifies a still picture, or the last one again; shows it only when it could be read.
 * @param {{ blob: Blob, name: string } | null} picture
 * @param {boolean} [shown] whether it is on the page already
 */
async function classifyPicture(picture, shown = picture === state.picture) {
  if (!picture || !state.opened) return;
  const frame = ++state.frame;
  camera.held = true; // or frames would come between, and be what the worker compares the modes on
  const result = await client
    .call("classify", { frame, picture: picture.blob, name: picture.name, mode: state.mode, topK: TOP_K })
    .finally(() => { camera.held = false; });
  if (frame !== state.frame) return;
  if (camera.running) stopCamera();
  state.picture = picture;
  if (!shown) viewport.showPhoto(picture.blob, picture.name);
  viewport.setCaption(`${picture.name} · ${format.count(result.width)} × ${format.count(result.height)}`);
  predictions.showStill(result.predictions);
  lesson?.showAnswer(result.predictions);
  timing.showStill(result.elapsedMs, state.cold);
  Object.assign(state, { cold: false, restarts: 0 });
}

/** @param {Blob} blob @param {string} name @param {string | null} sample its address, if it is one */
async function openPicture(blob, name, sample = null) {
  if (!state.opened) {
    state.picture = { blob, name };
    viewport.showPhoto(blob, name);
    return markSample(sample);
  }
  const slow = setTimeout(() => status.busy(`Classifying ${name}.`), 600);
  try {
    await classifyPicture({ blob, name });
    markSample(sample);
    status.mention(`${name} was classified.`);
  } catch (error) {
    report(error);
  } finally {
    clearTimeout(slow);
  }
}

async function showFirstPicture() {
  const blob = await firstPicture;
  if (blob) state.picture ??= { blob, name: FIRST_PICTURE.replace(/.*\//, "") };
}

/** @param {string} url */
async function fetchPicture(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}. Reload the page, or choose an image.`);
  return response.blob();
}

/** @param {string} url */
async function openSample(url) {
  try {
    await openPicture(await fetchPicture(url), url.replace(/.*\//, ""), url);
  } catch {
    status.problem(`${url} could not be fetched. Connect to the network once, or choose an image.`);
  }
}

// ---- The camera --------------------------------------------------------------------------------------------------

/** @param {ImageBitmap} bitmap */
async function takeFrame(bitmap) {
  if (lesson && currentTab() === "teach" && lesson.takesFrames()) await lesson.takeFrame(bitmap);
  else await classifyFrame(bitmap);
}

/** @param {ImageBitmap} bitmap */
async function classifyFrame(bitmap) {
  if (!state.opened || camera.held) return bitmap.close();
  const frame = ++state.frame;
  try {
    const result = await client.call("classify", { frame, picture: bitmap, name: "camera", mode: state.mode, topK: TOP_K }, [bitmap]);
    if (frame !== state.frame || !camera.running) return;
    predictions.showFrame(result.predictions, smooth.checked);
    lesson?.showAnswer(result.predictions);
    timing.showFrame(result.elapsedMs);
    state.cold = false;
  } catch (error) {
    stopCamera();
    report(error);
  }
}

/** @param {(onEnd: () => void) => Promise<{ mirrored: boolean }>} start */
async function startCamera(start) {
  cameraButton.disabled = true;
  const slow = setTimeout(() => status.busy("Waiting for the camera: the browser may ask you."), 400);
  try {
    const { mirrored } = await start(() => {
      stopCamera();
      status.problem("The camera was disconnected. Connect it again, or choose an image.");
    });
    viewport.showVideo(mirrored);
    viewport.setCaption("Camera: its pictures stay on this device");
    markSample(null);
    timing.restart();
    clearTimeout(slow);
    status.mention("The camera is on; its pictures stay on this device.");
    flipButton.hidden = !(await camera.hasSeveral());
  } catch (error) {
    stopCamera();
    status.problem(error);
  } finally {
    clearTimeout(slow);
    cameraButton.disabled = false;
    showCameraState();
    cameraButton.focus({ preventScroll: true });
  }
}

function showCameraState() {
  cameraButton.textContent = camera.running ? "Stop the camera" : "Use the camera";
  stage.classList.toggle("live-stage", camera.running);
  smoothRow.hidden = !camera.running;
  if (!camera.running) flipButton.hidden = true;
  lesson?.refresh();
}

function stopCamera() {
  camera.stop();
  viewport.hideVideo(state.picture?.name ?? "");
  showCameraState();
}

async function endCamera() {
  stopCamera();
  try {
    await classifyPicture(state.picture);
    status.mention("The camera is off.");
  } catch (error) {
    report(error);
  }
}

document.addEventListener("visibilitychange", () => {
  if (!camera.running) return;
  timing.restart();
  if (document.hidden) status.busy("The camera pauses while this tab is hidden.");
  else status.tell("The camera is on again; it paused while this tab was hidden.");
});

// ---- Modes -------------------------------------------------------------------------------------------------------

/** @param {Mode} mode */
async function switchMode(mode) {
  const before = state.mode;
  state.mode = mode;
  timing.restart();
  if (!state.opened) return;
  const slow = setTimeout(() => models.showLoading("Preparing this mode"), 400);
  try {
    if (!camera.running) await classifyPicture(state.picture);
    clearTimeout(slow);
    models.hideLoading(true);
    status.mention("The mode was switched.");
    await compare();
  } catch (error) {
    state.mode = before;
    modes.selectMode(before);
    report(error);
  } finally {
    clearTimeout(slow);
    models.hideLoading(state.opened !== null);
  }
}

async function compare() {
  modes.showMeasuring();
  try {
    modes.showComparison(await client.call("compare", {}));
  } catch (error) {
    modes.showNotMeasured("Not measured.");
    report(error);
  } finally {
    timing.restart();
  }
}

// ---- Teaching ----------------------------------------------------------------------------------------------------

/** What is open, for what is learnt on top of it. */
function teachable() {
  if (!state.opened) return null;
  const adapter = adapterView.isCpu(state.opened.adapter) ? /** @type {const} */ ("cpu") : /** @type {const} */ ("webgpu");
  const source = models.sourceOf(state.modelKey);
  return { source, adapter, preprocess: state.opened.assumedPreprocess, seesSquare: seesSquare(source, state.opened) };
}

/**
 * Classifies with a network that was just taught, in place of the last one.
 * @param {File} file
 * @param {boolean} seesSquare as the network does that it was made of
 */
async function useTaught(file, seesSquare) {
  const key = models.addModel({ name: file.name, file, seesSquare });
  const before = taughtKey;
  if (!(await openModel(key))) return false;
  taughtKey = key;
  models.removeModel(before);
  return true;
}

function openTeaching() {
  teaching ??= import("../teach/teach.js").then(({ openTeaching }) => openTeaching({
    base: teachable,
    live: () => camera.running,
    picture: () => state.picture,
    use: useTaught,
  }));
  teaching.then((opened) => { lesson = opened; }, () => {
    teaching = null; // the next attempt fetches it again
    status.problem("The part of the page that teaches could not be fetched. Check the connection, and choose the tab again.");
  });
}

// ---- Start -------------------------------------------------------------------------------------------------------

listenForPictures({
  onImage: (file) => void openPicture(file, file.name || "pasted picture"),
  onModel: (file) => void openModel(models.addModel({ name: file.name, file })),
  onSample: (url) => void openSample(url),
});
models.listenForModels({
  onModel: (key) => void openModel(key),
  onPreprocess: (preprocess) => void open({ key: state.modelKey, adapter: state.adapter, preprocess }),
});
listenForTabs((tab) => {
  if (tab === "teach") openTeaching();
});
modes.listenForModes({ onMode: (mode) => void switchMode(mode), onCompare: () => void compare() });
adapterView.listenForAdapter((choice) => void openOn(choice));
listenForBenchmark({
  subject: () => ({
    source: models.sourceOf(state.modelKey),
    adapter: state.opened && !adapterView.isCpu(state.opened.adapter) ? "webgpu" : "cpu",
  }),
  quiet: () => {
    if (!camera.running) return;
    void endCamera().then(() => status.tell("The camera was stopped, so as not to disturb the benchmark."));
  },
});
cameraButton.addEventListener("click", () => void (camera.running ? endCamera() : startCamera((onEnd) => camera.start(onEnd))));
flipButton.addEventListener("click", () => void startCamera((onEnd) => camera.flip(onEnd)));
smooth.addEventListener("change", () => timing.restart());

async function start() {
  client.call("adapters", {}).then(adapterView.showChoices, () => adapterView.showChoices([]));
  await openOn("auto");
  loadSamples();
  // The service worker fetches every file once more, mostly from the browser's cache: not before the page is done.
  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register("service-worker.js", { updateViaCache: "none" }).catch(() => {});
  }
}

void start();
