// A device that goes away in the middle of things, seen from the library.
import { PHOTOS, TOLERANCE, expect, test } from "./support.js";

test("a lost device is rebuilt, and the answer is the same", async ({ page }) => {
  await page.goto("/examples/image.html");
  const result = await page.evaluate(async (photo) => {
    const { default: init, Classifier } = await import("/doconv.js");
    await init();
    /** @type {GPUDevice[]} */
    const devices = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...rest) {
      const device = await request.apply(this, rest);
      devices.push(device);
      return device;
    };
    const model = await (await fetch("/models/efficientnet-lite0-doconv.safetensors")).arrayBuffer();
    const bitmap = await createImageBitmap(await (await fetch(`/photos/${photo}`)).blob());
    const classifier = await Classifier.load(model, { adapter: "webgpu" });
    const before = await classifier.classify(bitmap);
    const rebuildsBefore = classifier.rebuilds;
    devices[0].destroy();
    await devices[0].lost;
    const after = await classifier.classify(bitmap);
    const { rebuilds } = classifier;
    classifier.free();
    return { before: before.predictions, after: after.predictions, rebuildsBefore, rebuilds, devices: devices.length };
  }, PHOTOS[1]);
  expect(result.rebuildsBefore).toBe(0);
  expect(result.rebuilds).toBe(1);
  expect(result.devices).toBe(2);
  expect(result.after.map((prediction) => prediction.class)).toEqual(result.before.map((prediction) => prediction.class));
  result.after.forEach(({ probability }, rank) => {
    expect(Math.abs(probability - result.before[rank].probability)).toBeLessThanOrEqual(TOLERANCE);
  });
});
