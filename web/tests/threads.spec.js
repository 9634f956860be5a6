// Threads of the CPU path: the same bits however many there are, and one where there cannot be more.
import { expect, open, test } from "./support.js";

/** A page's own worker forbids scripts made on the fly, so this one comes from the server. */
const WORKER = `
  import init, { Classifier } from "./doconv.js";
  const others = {
    /** They do not start. */
    absent() {
      globalThis.Worker = class { postMessage() { queueMicrotask(() => this.onmessage({ data: false })); } terminate() {} };
    },
    /** They say that they have the network, take the first picture, and end while this thread waits for their part. */
    lost() {
      globalThis.Worker = class {
        postMessage({ place }) {
          if (place) this.control = new Int32Array(place.memory);
          else Atomics.add(this.control, 0, 1);
          queueMicrotask(() => this.onmessage({ data: true }));
        }
        terminate() {}
      };
      Atomics.wait = (control) => {
        Atomics.store(control, 1, 1);
        return "ok";
      };
    },
  };
  addEventListener("message", async ({ data: { threads, modes, other } }) => {
    others[other]?.();
    await init();
    const model = await (await fetch("models/efficientnet-lite0-doconv.safetensors")).arrayBuffer();
    const bitmap = await createImageBitmap(await (await fetch("photos/coffee.png")).blob());
    const classifier = await Classifier.load(model, { adapter: "cpu", expand: true, threads });
    const before = classifier.adapter.driver;
    const answers = [];
    for (const mode of [...modes, modes[0]]) answers.push((await classifier.classify(bitmap, { mode, topK: 1000 })).predictions);
    const after = classifier.adapter.driver;
    classifier.free();
    postMessage({ isolated: crossOriginIsolated, before, after, answers });
  });`;

const ISOLATED = { "cross-origin-embedder-policy": "require-corp", "cross-origin-resource-policy": "same-origin" };

/**
 * Answers of a classifier in a worker of its own.
 * @param {import("@playwright/test").Page} page
 * @param {{ threads?: number, modes?: string[], other?: "absent" | "lost" }} wanted
 * @returns {Promise<{ isolated: boolean, before: string, after: string, answers: { class: number, probability: number }[][] }>}
 */
const classified = (page, wanted) => page.evaluate((wanted) => new Promise((resolve, reject) => {
  const worker = new Worker("/threads-test.js", { type: "module" });
  worker.onmessage = ({ data }) => {
    worker.terminate();
    resolve(data);
  };
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.postMessage(wanted);
}), { modes: ["folded"], ...wanted });

test.beforeEach(({ page }) => page.route("**/threads-test.js", (route) =>
  route.fulfill({ contentType: "text/javascript", headers: ISOLATED, body: WORKER })));

test("any number of threads gives the same bits in every mode", async ({ page }) => {
  await page.goto("/examples/image.html");
  const modes = ["folded", "kernel", "feature"];
  const one = await classified(page, { threads: 1, modes });
  expect(one.isolated).toBe(true);
  expect(one.before).toMatch(/, 1 thread$/);
  expect(one.answers[0]).toHaveLength(1000);
  for (const threads of [2, 3]) {
    const several = await classified(page, { threads, modes });
    expect(several.before).toMatch(new RegExp(`, ${threads} threads$`));
    expect(several.after).toBe(several.before);
    expect(several.answers).toEqual(one.answers);
  }
});

test("a page that is not isolated has one thread", async ({ page }) => {
  await page.route("**/examples/image.html", async (route) => {
    const response = await route.fetch();
    const { "cross-origin-opener-policy": _, "cross-origin-embedder-policy": __, ...headers } = response.headers();
    await route.fulfill({ response, headers });
  });
  await page.goto("/examples/image.html");
  const one = await classified(page, { threads: 3 });
  expect(one.isolated).toBe(false);
  expect(one.before).toMatch(/, 1 thread$/);
  expect(one.answers[0]).toHaveLength(1000);
});

test("a thread that does not start is done without", async ({ page }) => {
  await page.goto("/examples/image.html");
  const { before, answers } = await classified(page, { threads: 3, other: "absent" });
  expect(before).toMatch(/, 1 thread$/);
  expect(answers[0]).toHaveLength(1000);
});

test("a thread that is lost in the midst of a picture costs time only", async ({ page }) => {
  await page.goto("/examples/image.html");
  const one = await classified(page, { threads: 1 });
  const { before, after, answers } = await classified(page, { threads: 2, other: "lost" });
  expect(before).toMatch(/, 2 threads$/);
  expect(after).toMatch(/, 1 thread$/);
  expect(answers).toEqual(one.answers);
});

test("the page says how many threads there are", async ({ page }) => {
  await open(page);
  const processors = await page.evaluate(() => navigator.hardwareConcurrency);
  const threads = Math.min(processors, 4);
  await expect(page.getByRole("region", { name: "Adapter" })).toContainText(threads > 1 ? `${threads} threads` : "1 thread");
});
