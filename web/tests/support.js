// What the tests share: a page that must stay quiet, and the program that it is compared with.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { test as base, expect } from "@playwright/test";

export { expect };

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const MODEL = join(root, "models/efficientnet-lite0-doconv.safetensors");
export const PHOTOS = ["chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg"];

/** Native and browser may be so far apart. */
export const TOLERANCE = 1e-3;

/** Anything on the console, any error nobody caught, and any request to elsewhere fails a test. */
export const test = base.extend({
  page: async ({ page }, use) => {
    const complaints = listen(page);
    await use(page);
    expect(complaints).toEqual([]);
  },
});

/** @param {import("@playwright/test").Page} page */
export function listen(page) {
  /** @type {string[]} */
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && hostname !== "127.0.0.1") complaints.push(`request to ${request.url()}`);
  });
  return complaints;
}

/** The program under test, natively. @param {string[]} args */
export function doconv(...args) {
  return execFileSync(String(process.env.DOCONV_BIN), args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** @param {string} image @param {string[]} args @returns {{ class: number, label: string, probability: number }[]} */
export function classified(image, ...args) {
  return JSON.parse(doconv("classify", image, "--json", "--adapter", "cpu", ...args)).results[0].predictions;
}

/** @param {import("@playwright/test").Page} page */
export const predictions = (page) => page.getByRole("list", { name: "Predictions" }).getByRole("listitem");

/** @param {import("@playwright/test").Page} page */
export const status = (page) => page.getByRole("status", { name: "Status" });

/** Opens the page, and waits until the first sample is classified. @param {import("@playwright/test").Page} page */
export async function open(page) {
  await page.goto("/");
  await expect(predictions(page)).toHaveCount(5);
  await expect(predictions(page).first()).toContainText("tiger cat");
}

/** Gives a picture to the page's own input. @param {import("@playwright/test").Page} page @param {string} path @param {string} [name] */
export async function choose(page, path, name) {
  const files = name ? { name, mimeType: "image/png", buffer: readFileSync(path) } : path;
  await page.getByLabel("Choose an image").setInputFiles(files);
}

/** Drops a file on the page. @param {import("@playwright/test").Page} page @param {string} name @param {Buffer} bytes */
export async function drop(page, name, bytes) {
  const transfer = await page.evaluateHandle(async ({ name, base64 }) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    return transfer;
  }, { name, base64: bytes.toString("base64") });
  for (const event of ["dragenter", "dragover", "drop"]) await page.dispatchEvent("body", event, { dataTransfer: transfer });
}

/** Runs on the page with a classifier of its own. @param {import("@playwright/test").Page} page */
export const classifyInPage = (page, /** @type {{ photo: string, adapter: string, mode?: string, topK?: number }} */ wanted) =>
  page.evaluate(async ({ photo, adapter, mode, topK }) => {
    const { default: init, Classifier } = await import(new URL("doconv.js", location.href).href);
    await init();
    const model = await (await fetch("models/efficientnet-lite0-doconv.safetensors")).arrayBuffer();
    const classifier = await Classifier.load(model, { adapter });
    const bitmap = await createImageBitmap(await (await fetch(photo)).blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const { predictions } = await classifier.classify(bitmap, { mode, topK });
    classifier.free();
    return predictions;
  }, wanted);
