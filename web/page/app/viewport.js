// The picture or the camera, and the corners of what the network sees of it.

import { byId } from "./dom.js";

const viewport = byId("viewport", HTMLElement);
const photo = byId("photo", HTMLImageElement);
const video = byId("video", HTMLVideoElement);
const corners = byId("corners", SVGSVGElement);
const caption = byId("caption", HTMLElement);
const seen = byId("seen", HTMLElement);

/** Side of the square that the network sees, of the picture's shorter side; null: the model has its own, unknown here. */
const CROP = 0.875;
let cropKnown = true;
let objectUrl = "";

/** @returns {[number, number]} */
const naturalSize = () =>
  video.hidden ? [photo.naturalWidth, photo.naturalHeight] : [video.videoWidth, video.videoHeight];

function place() {
  const [width, height] = naturalSize();
  const drawn = width > 0 && height > 0;
  corners.toggleAttribute("hidden", !drawn || !cropKnown);
  seen.hidden = !cropKnown;
  if (!drawn) return;
  viewport.style.setProperty("--aspect", (width / height).toFixed(4));
  const box = viewport.getBoundingClientRect();
  const ratios = [box.width / width, box.height / height];
  const covers = getComputedStyle(video.hidden ? photo : video).objectFit === "cover";
  const side = Math.min(width, height) * CROP * (covers ? Math.max(...ratios) : Math.min(...ratios));
  corners.style.setProperty("width", `${side}px`);
  corners.style.setProperty("height", `${side}px`);
  corners.style.setProperty("left", `${(box.width - side) / 2}px`);
  corners.style.setProperty("top", `${(box.height - side) / 2}px`);
}

/**
 * Shows a still picture.
 * @param {Blob | string} picture a file, or an address beside the page
 * @param {string} name
 * @param {string} [description] for those who do not see it
 */
export function showPhoto(picture, name, description = name) {
  if (objectUrl) URL.revokeObjectURL(objectUrl);
  objectUrl = typeof picture === "string" ? "" : URL.createObjectURL(picture);
  photo.src = typeof picture === "string" ? picture : objectUrl;
  photo.alt = description;
  photo.hidden = false;
  video.hidden = true;
  caption.textContent = name;
}

/** Shows the camera. @param {boolean} mirrored as people know themselves; the network sees the picture as it is */
export function showVideo(mirrored) {
  video.classList.toggle("mirrored", mirrored);
  video.hidden = false;
  photo.hidden = true;
  place();
}

/** Shows the still picture again. @param {string} name */
export function hideVideo(name) {
  video.hidden = true;
  photo.hidden = false;
  caption.textContent = name;
  place();
}

/** @param {string} text */
export function setCaption(text) {
  caption.textContent = text;
}

/** @param {boolean} known whether the square that this model sees is the one that the corners show */
export function setCropKnown(known) {
  cropKnown = known;
  place();
}

photo.addEventListener("load", place);
video.addEventListener("resize", place);
new ResizeObserver(place).observe(viewport);
if (photo.complete) place();
