// Teaching: pictures of a few things, a DO-Conv head that learns them, and a network to use and to keep. Fetched when the tab
// is opened first.
//
//   classes.js   the list of classes          curve.js    the loss
//   worker.js    everything that computes     protocol.js what it is asked

import { byId, make } from "../app/dom.js";
import * as format from "../app/format.js";
import * as status from "../app/status.js";
import { WorkerClient, WorkerError } from "../app/worker-client.js";
import * as list from "./classes.js";
import { clearCurve, extendCurve, hideCurve } from "./curve.js";

/** @typedef {import("./protocol.js").Base} Base */
/** @typedef {import("./protocol.js").Event} Event */
/** @typedef {import("./protocol.js").Methods} Methods */
/** @typedef {import("./protocol.js").Taught} Taught */

/**
 * What the page does for this part of it.
 * @typedef {object} Page
 * @property {() => Base | null} base the network that is open; null: none is
 * @property {() => boolean} live whether the camera runs
 * @property {() => { blob: Blob, name: string } | null} picture the still picture that is shown
 * @property {(file: File, seesSquare: boolean) => Promise<boolean>} use classifies with this network from now on
 */

/** More of one class teach nothing new, and cost memory. */
const MOST = 100;
/** Two frames that follow each other at once are alike. */
const APART_MS = 120;

const add = byId("class-add", HTMLButtonElement);
const train = byId("train", HTMLButtonElement);
const stop = byId("train-stop", HTMLButtonElement);
const block = byId("train-block", HTMLInputElement);
const note = byId("teach-note", HTMLElement);
const taughtBox = byId("taught", HTMLElement);
const taughtText = byId("taught-text", HTMLElement);
const taughtFiles = byId("taught-files", HTMLElement);

/** Set by `openTeaching`, which comes first. @type {Page} */
let page;
/** @type {WorkerClient<Methods, Event> | null} */
let client = null;
/** The network that is taught, once it is ready. @type {Promise<Methods["load"][1]> | null} */
let ready = null;
/** The network that the worker has, as it was when the first picture came. @type {Base | null} */
let base = null;
/** Whether that has a DO-Conv layer that can learn, too. */
let hasLastBlock = true;
/** Pictures that are on their way to the worker. */
let pending = 0;
/** The class whose thing is being shown, and since when it was let go. @type {{ id: number, taken: number, released: boolean } | null} */
let recording = null;
let lastFrame = 0;
let learning = false;
/** Names of the classes that the page's network has learnt here. @type {string[]} */
let taughtLabels = [];
/** What the page's network said last. @type {{ label: string, probability: number }[]} */
let answer = [];
/** @type {string[]} */
let addresses = [];

/** @param {Page} given @returns what the page tells this part of it */
export function openTeaching(given) {
  page = given;
  for (let count = 0; count < 2; count += 1) list.addClass(handlers);
  add.addEventListener("click", () => {
    list.addClass(handlers);
    refresh();
  });
  train.addEventListener("click", () => void learn());
  stop.addEventListener("click", () => void client?.call("stop", {}));
  refresh();
  return { refresh, takesFrames, takeFrame, showAnswer };
}

/** @type {import("./classes.js").Handlers} */
const handlers = {
  onPress(id) {
    if (learning) return;
    if (!page.live()) return void addStill(id);
    recording = { id, taken: 0, released: false };
    refresh();
  },
  onRelease(id) {
    if (recording?.id !== id) return;
    // A short press is one picture.
    if (recording.taken > 0) recording = null;
    else recording.released = true;
    refresh();
  },
  onFiles: (id, files) => void addFiles(id, files.map((file) => ({ blob: file, name: file.name }))),
  onRemove(id) {
    if (recording?.id === id) recording = null;
    list.removeClass(id);
    add.focus();
    void client?.call("forget", { id }).catch(() => {});
    refresh();
  },
  onRename: refresh,
};

/** What can be done now, and what is missing. */
function refresh() {
  if (!page.live()) recording = null;
  list.showTools(page.live(), recording?.id ?? null);
  const classes = list.classes();
  const missing = pending > 0 ? "Looking at the pictures." : why(classes);
  train.disabled = learning || missing !== "";
  stop.hidden = !learning;
  add.disabled = learning;
  block.disabled = learning || !hasLastBlock;
  if (!hasLastBlock) block.checked = false;
  if (!learning) note.textContent = missing;
}

/** @param {ReturnType<typeof list.classes>} classes @returns {string} why they cannot be learnt yet */
function why(classes) {
  if (classes.length < 2) return "Telling things apart takes at least two classes.";
  if (classes.some(({ label }) => label === "")) return "Every class needs a name.";
  const labels = classes.map(({ label }) => label);
  const twice = labels.find((label, index) => labels.indexOf(label) !== index);
  if (twice !== undefined) return `Two classes are called ${twice}.`;
  const empty = classes.filter(({ shown }) => shown === 0).map(({ label }) => label);
  if (empty.length === 0) return "";
  const how = page.live() ? "Hold its button while the camera sees the thing." : "Add the picture on the page, choose files, or use the camera.";
  return `No pictures yet: ${empty.join(", ")}. ${how}`;
}

// ---- Pictures ----------------------------------------------------------------------------------------------------

/** Whether the page has another network now, or another adapter, and there are no pictures to be lost by following it. */
function isOutdated() {
  const now = page.base();
  const same = !now || (base?.source === now.source && base.adapter === now.adapter && base.preprocess === now.preprocess);
  return !same && pending === 0 && list.classes().every(({ shown }) => shown === 0);
}

/** The worker, with the network in it. */
async function teacher() {
  if (client && isOutdated()) end(client);
  if (!client || !ready) {
    base = page.base();
    if (!base) throw new Error("The network is still being loaded. Try again in a moment.");
    /** @type {WorkerClient<Methods, Event>} */
    const started = new WorkerClient(({ epoch }) => extendCurve(epoch), "teach/worker.js");
    client = started;
    ready = started.call("load", base);
    ready.then((loaded) => { hasLastBlock = loaded.hasLastBlock; }, () => end(started));
  }
  const current = client;
  await ready;
  return current;
}

/** A worker that is broken is replaced when it is needed next; the pictures are gone with it. @param {WorkerClient<Methods, Event>} broken */
function end(broken) {
  if (client !== broken) return;
  client = ready = null;
  broken.terminate("The part that learns was ended.");
}

/** @param {number} id @param {ImageBitmap | Blob} picture @param {string} name */
async function show(id, picture, name) {
  pending += 1;
  refresh();
  const bitmap = picture instanceof Blob ? await createImageBitmap(picture).catch(() => null) : picture;
  try {
    const client = await teacher();
    if (!list.hasClass(id)) return;
    const small = bitmap && list.thumbnail(bitmap);
    await client.call("show", { id, picture, name }, picture instanceof Blob ? [] : [picture]);
    list.addPicture(id, small);
  } finally {
    bitmap?.close();
    pending -= 1;
    refresh();
  }
}

/** @param {unknown} error */
function report(error) {
  const fatal = error instanceof WorkerError && error.fatal;
  if (!fatal) return status.problem(error);
  // What was under way fails with the worker; the first error says why.
  if (!client) return;
  end(client);
  recording = null;
  list.forgetPictures();
  status.problem(`${error.message} The pictures are gone with it; add them again.`);
  refresh();
}

/** @param {number} id */
async function addStill(id) {
  const picture = page.picture();
  if (!picture) return status.problem("There is no picture to add. Choose an image, or use the camera.");
  await addFiles(id, [picture]);
}

/** @param {number} id @param {{ blob: Blob, name: string }[]} pictures */
async function addFiles(id, pictures) {
  try {
    await teacher();
  } catch (error) {
    return report(error);
  }
  for (const { blob, name } of pictures) {
    if (!client || !list.hasClass(id) || isFull(id)) return;
    try {
      await show(id, blob, name);
    } catch (error) {
      // One that cannot be read is named; the others are taken.
      report(error);
    }
  }
}

/** @param {number} id */
function isFull(id) {
  if (list.shown(id) < MOST) return false;
  status.tell(`${format.count(MOST)} pictures of a class are enough.`);
  return true;
}

/** Whether frames of the camera are of no use to the classifier now. */
const takesFrames = () => recording !== null || learning || taughtLabels.length === 0;

/** @param {ImageBitmap} bitmap */
async function takeFrame(bitmap) {
  const now = performance.now();
  if (!recording || now - lastFrame < APART_MS || learning) return bitmap.close();
  const current = recording;
  lastFrame = now;
  if (isFull(current.id)) {
    recording = null;
    bitmap.close();
    return refresh();
  }
  try {
    current.taken += 1;
    await show(current.id, bitmap, "camera");
  } catch (error) {
    recording = null;
    report(error);
  }
  if (current.released && recording === current) recording = null;
  refresh();
}

// ---- Learning ----------------------------------------------------------------------------------------------------

async function learn() {
  if (!client) return;
  const wanted = list.classes();
  learning = true;
  taughtBox.hidden = true;
  list.setBusy(true);
  list.showShares(null);
  clearCurve("Preparing");
  note.textContent = "";
  refresh();
  stop.focus();
  try {
    const classes = wanted.map(({ id, label }) => ({ id, label }));
    const taught = await client.call("teach", { classes, lastBlock: block.checked });
    await use(taught, classes.map(({ label }) => label));
  } catch (error) {
    hideCurve();
    taughtBox.hidden = taughtFiles.childElementCount === 0;
    report(error);
  } finally {
    learning = false;
    list.setBusy(false);
    refresh();
    showShares();
    if (document.activeElement === document.body) train.focus({ preventScroll: true });
  }
}

/** @param {Taught} taught @param {string[]} labels */
async function use(taught, labels) {
  const name = labels.map((label) => label.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")).filter(Boolean);
  const stem = name.slice(0, 4).join("-or-") || "taught";
  const [composed, folded] = [taught.composed, taught.folded].map((bytes) => new Blob([/** @type {BlobPart} */ (bytes)]));
  for (const address of addresses) URL.revokeObjectURL(address);
  addresses = [folded, composed].map((blob) => URL.createObjectURL(blob));
  const link = (/** @type {number} */ index, /** @type {string} */ file, /** @type {string} */ text, /** @type {Blob} */ blob) =>
    make("a", { class: `button ${index ? "quiet" : ""}`, href: addresses[index], download: file }, `${text} (${format.megabytes(blob.size)} MB)`);
  taughtFiles.replaceChildren(
    link(0, `${stem}.safetensors`, "Download, folded", folded),
    link(1, `${stem}-composed.safetensors`, "With D and W", composed));
  const held = taught.heldBack
    ? `${format.count(taught.heldBackRight)} of ${format.count(taught.heldBack)} pictures that it did not learn from are classified rightly.`
    : "With five pictures of a class, one is held back to try it on.";
  taughtText.textContent = `Learnt ${labels.join(", ")}. ${held}`;
  taughtBox.hidden = false;
  // The one with D and W, which the page folds: it shows both.
  const before = taughtLabels;
  taughtLabels = labels;
  if (!(await page.use(new File([composed], `${stem}.safetensors`), base?.seesSquare ?? false))) taughtLabels = before;
}

/** @param {{ label: string, probability: number }[]} predictions what the page's network says */
function showAnswer(predictions) {
  answer = predictions;
  if (!learning) showShares();
}

/** How sure the network is, if it is the one that was taught. */
function showShares() {
  const known = taughtLabels.length > 0 && answer.every(({ label }) => taughtLabels.includes(label));
  list.showShares(known ? answer : null);
}
