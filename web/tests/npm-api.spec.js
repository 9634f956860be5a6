// The classifier as a library.
import { expect, test } from "./support.js";

test("every kind of source, calls at once, and errors in one line", async ({ page }) => {
  await page.goto("/examples/image.html");
  const result = await page.evaluate(async () => {
    const { default: init, Classifier } = await import("/doconv.js");
    await init();
    const model = await (await fetch("/models/efficientnet-lite0-doconv.safetensors")).arrayBuffer();
    const classifier = await Classifier.load(new Uint8Array(model), { adapter: "cpu" });
    const image = new Image();
    image.src = "/photos/coffee.png";
    await image.decode();
    const bitmap = await createImageBitmap(image);
    const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.drawImage(image, 0, 0);
    const offscreen = new OffscreenCanvas(canvas.width, canvas.height);
    /** @type {OffscreenCanvasRenderingContext2D} */ (offscreen.getContext("2d")).drawImage(image, 0, 0);
    const sources = { bitmap, image, canvas, offscreen, data: context.getImageData(0, 0, canvas.width, canvas.height), frame: new VideoFrame(canvas, { timestamp: 0 }) };
    const answers = await Promise.all(Object.values(sources).map((source) => classifier.classify(source, { topK: 3 })));
    /** @param {Promise<unknown>} promise */
    const failure = (promise) => promise.then(() => "no error", (error) => (error instanceof Error ? error.message : `no Error: ${error}`));
    return {
      answers: answers.map(({ predictions, elapsedMs }) => ({ label: predictions[0].label, count: predictions.length, timed: elapsedMs > 0 })),
      failures: await Promise.all([
        failure(Classifier.load(new Uint8Array([1, 2, 3]), { name: "rubbish.bin" })),
        failure(Classifier.load(new Uint8Array(0))),
        failure(Classifier.load(model.slice(0, 5000), { name: "cut.safetensors" })),
        failure(classifier.classify(/** @type {any} */ ("a string"))),
        failure(classifier.classify(bitmap, /** @type {any} */ ({ topK: "many" }))),
        failure(classifier.classify(bitmap, /** @type {any} */ ({ mode: "sideways" }))),
      ]),
    };
  });
  expect(result.answers).toEqual(Array(6).fill({ label: "espresso", count: 3, timed: true }));
  const expected = [/rubbish\.bin/, /model/, /cut\.safetensors/, /string/, /many|topK|options/, /sideways/];
  for (const [index, pattern] of expected.entries()) {
    expect(result.failures[index]).toMatch(pattern);
    expect(result.failures[index]).not.toContain("\n");
  }
});

test("the example classifies its <img>", async ({ page }) => {
  await page.goto("/examples/image.html");
  await expect(page.locator("body")).toContainText(/tiger cat|espresso|tabby/);
});
