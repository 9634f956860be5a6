// How long the CPU path takes for a picture, by threads: `node tests/speed.js [MODEL...]`, against DOCONV_PAGE, with CHROMIUM.
// Models are files; without any it is the bundled one. Not a test: what it prints is for people to judge.
import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { chromium } from "@playwright/test";

const PICTURES = 60;
const WORKER = `
  import init, { Classifier } from "./doconv.js";
  addEventListener("message", async ({ data: { threads, pictures } }) => {
    await init();
    const model = await (await fetch("speed-model")).arrayBuffer();
    const bitmap = await createImageBitmap(await (await fetch("photos/coffee.png")).blob());
    const start = performance.now();
    const classifier = await Classifier.load(model, { adapter: "cpu", preprocess: "imagenet", threads });
    const load = performance.now() - start;
    const times = [];
    for (let at = 0; at < pictures; at++) times.push((await classifier.classify(bitmap)).elapsedMs);
    const { driver } = classifier.adapter;
    classifier.free();
    postMessage({ driver, load, first: times[0], median: times.slice(5).sort((a, b) => a - b)[(pictures - 5) >> 1] });
  });`;
const headers = { "cross-origin-embedder-policy": "require-corp", "cross-origin-resource-policy": "same-origin" };

const models = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
for (const file of models.length ? models : ["../models/efficientnet-lite0-doconv.safetensors"]) {
  const page = await browser.newPage();
  await page.route("**/speed-test.js", (route) => route.fulfill({ contentType: "text/javascript", headers, body: WORKER }));
  await page.route("**/speed-model", (route) => route.fulfill({ contentType: "application/octet-stream", headers, body: readFileSync(file) }));
  await page.goto(new URL("examples/image.html", process.env.DOCONV_PAGE).href);
  const most = await page.evaluate(() => navigator.hardwareConcurrency);
  for (let threads = 1; threads <= most; threads *= 2) {
    const { driver, load, first, median } = await page.evaluate((wanted) => new Promise((resolve, reject) => {
      const worker = new Worker("/speed-test.js", { type: "module" });
      worker.onmessage = ({ data }) => {
        worker.terminate();
        resolve(data);
      };
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(wanted);
    }), { threads, pictures: PICTURES });
    console.log(`${basename(file)}, ${driver}: ${median.toFixed(1)} ms, the first ${first.toFixed(1)} ms, loading ${load.toFixed(0)} ms`);
  }
  await page.close();
}
await browser.close();
