// The classes that are taught: a name, pictures, and after training how sure the network is.

import { byId, make } from "../app/dom.js";
import * as format from "../app/format.js";

/**
 * @typedef {object} Handlers
 * @property {(id: number) => void} onPress somebody begins to show the thing
 * @property {(id: number) => void} onRelease and ends
 * @property {(id: number, files: File[]) => void} onFiles
 * @property {(id: number) => void} onRemove
 * @property {() => void} onRename
 */

/** Pictures that are drawn; the others are only counted. */
const DRAWN = 6;
/** Their sides in pixels, for screens with two to a point. */
const SIDE = 88;

/**
 * @typedef {object} Row
 * @property {number} id
 * @property {HTMLElement} element
 * @property {HTMLInputElement} name
 * @property {HTMLElement} count
 * @property {HTMLElement} pictures
 * @property {HTMLButtonElement} record
 * @property {HTMLElement} share
 * @property {HTMLElement} bar
 * @property {number} shown
 */

const list = byId("classes", HTMLElement);
/** @type {Map<number, Row>} */
const rows = new Map();
let next = 1;

/** @param {Handlers} handlers */
export function addClass(handlers) {
  const id = next++;
  const label = `Class ${id}`;
  const name = make("input", { type: "text", value: label, "aria-label": `Name of class ${id}`, maxlength: "60", autocomplete: "off", spellcheck: "false" });
  const count = make("span", { class: "count" });
  const remove = make("button", { type: "button", class: "remove", "aria-label": `Remove class ${id}` }, "✕");
  const record = make("button", { type: "button", class: "button quiet record" });
  const input = make("input", { id: `class-file-${id}`, type: "file", accept: "image/*", multiple: "" });
  const files = make("span", { class: "file text-button" }, input, make("label", { for: input.id }, "Choose files", make("span", { class: "visually-hidden" }, ` for class ${id}`)));
  const pictures = make("div", { class: "thumbnails", "aria-hidden": "true" });
  const share = make("span", { class: "share" });
  const bar = make("i");
  const element = make("li", {},
    make("div", { class: "class-head" }, name, share, remove),
    make("span", { class: "bar", "aria-hidden": "true" }, bar),
    make("div", { class: "class-tools" }, record, files, count),
    pictures);
  list.append(element);
  rows.set(id, { id, element, name, count, pictures, record, share, bar, shown: 0 });

  name.addEventListener("input", handlers.onRename);
  remove.addEventListener("click", () => handlers.onRemove(id));
  input.addEventListener("change", () => {
    handlers.onFiles(id, [...(input.files ?? [])]);
    input.value = "";
  });
  record.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    record.setPointerCapture(event.pointerId);
    handlers.onPress(id);
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) record.addEventListener(end, () => handlers.onRelease(id));
  record.addEventListener("contextmenu", (event) => event.preventDefault());
  record.addEventListener("keydown", (event) => {
    if (![" ", "Enter"].includes(event.key)) return;
    event.preventDefault();
    if (!event.repeat) handlers.onPress(id);
  });
  record.addEventListener("keyup", ({ key }) => [" ", "Enter"].includes(key) && handlers.onRelease(id));
  record.addEventListener("blur", () => handlers.onRelease(id));
  // A click without a pointer, as assistive technology makes it, is a short press.
  record.addEventListener("click", (event) => {
    if (event.detail !== 0) return;
    handlers.onPress(id);
    handlers.onRelease(id);
  });
  showCount(rows.get(id));
  return id;
}

/** @param {number} id */
export function removeClass(id) {
  rows.get(id)?.element.remove();
  rows.delete(id);
}

/** @param {number} id whether it is still there */
export const hasClass = (id) => rows.has(id);

/** The pictures of all classes are gone. */
export function forgetPictures() {
  for (const row of rows.values()) {
    row.shown = 0;
    row.pictures.replaceChildren();
    showCount(row);
  }
}

/** What there is to learn, in order. */
export const classes = () => [...rows.values()].map(({ id, name, shown }) => ({ id, label: name.value.trim(), shown }));

/** @param {number} id */
export const shown = (id) => rows.get(id)?.shown ?? 0;

/** @param {Row | undefined} row */
function showCount(row) {
  if (row) row.count.textContent = row.shown === 1 ? "1 picture" : `${format.count(row.shown)} pictures`;
}

/** A picture was taken for a class. @param {number} id @param {HTMLCanvasElement | null} picture */
export function addPicture(id, picture) {
  const row = rows.get(id);
  if (!row) return;
  row.shown += 1;
  showCount(row);
  if (!picture) return;
  row.pictures.prepend(picture);
  while (row.pictures.children.length > DRAWN) row.pictures.lastElementChild?.remove();
}

/** The middle of a picture, small. @param {ImageBitmap} bitmap */
export function thumbnail(bitmap) {
  const canvas = make("canvas", { width: String(SIDE), height: String(SIDE) });
  const side = Math.min(bitmap.width, bitmap.height);
  canvas.getContext("2d")?.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  return canvas;
}

/** How pictures are added now. @param {boolean} live @param {number | null} recording */
export function showTools(live, recording) {
  for (const { id, record } of rows.values()) {
    record.replaceChildren(recording === id ? "Recording" : live ? "Hold to record" : "Add picture",
      make("span", { class: "visually-hidden" }, ` for class ${id}`));
    record.classList.toggle("recording", recording === id);
  }
}

/** @param {boolean} busy while it learns nothing can be changed */
export function setBusy(busy) {
  for (const control of list.querySelectorAll("input, button")) control.toggleAttribute("disabled", busy);
}

/** How sure the network is of each class; nothing of a network that was not taught here. @param {{ label: string, probability: number }[] | null} predictions */
export function showShares(predictions) {
  const best = predictions && Math.max(...predictions.map(({ probability }) => probability));
  for (const { name, element, share, bar } of rows.values()) {
    const found = predictions?.find(({ label }) => label === name.value.trim());
    share.textContent = found ? format.share(found.probability) : "";
    bar.style.setProperty("--share", (found?.probability ?? 0).toFixed(4));
    element.classList.toggle("best", found !== undefined && found.probability === best);
  }
}
