// The page says what the program says.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { PHOTOS, TOLERANCE, choose, classified, classifyInPage, expect, open, predictions, root, test } from "./support.js";

/** @typedef {{ class: number, probability: number }} Prediction */

/** @param {Prediction[]} got @param {Prediction[]} want */
function expectAlike(got, want) {
  expect(got.length).toBe(want.length);
  expect(want.length).toBeGreaterThan(0);
  const byClass = new Map(got.map((prediction) => [prediction.class, prediction.probability]));
  for (const { class: index, probability } of want.slice(0, 3)) {
    expect(Math.abs((byClass.get(index) ?? -1) - probability)).toBeLessThanOrEqual(TOLERANCE);
  }
  expect(got[0].class).toBe(want[0].class);
}

test("every sample, on the CPU", async ({ page }) => {
  await open(page);
  for (const photo of PHOTOS) {
    const want = classified(join("photos", photo));
    expectAlike(await classifyInPage(page, { photo: `photos/${photo}`, adapter: "cpu", topK: 5 }), want);
    await choose(page, join(root, "photos", photo));
    await expect(predictions(page).first()).toContainText(want[0].label);
    await expect(predictions(page).first()).toContainText(`${(100 * want[0].probability).toFixed(1)}%`);
  }
});

for (const [adapter, modes] of /** @type {[string, string[]][]} */ ([["cpu", ["kernel", "feature"]], ["webgpu", ["folded", "kernel", "feature"]]])) {
  test(`the modes ${modes.join(", ")} on ${adapter}`, async ({ page }) => {
    await page.goto("/examples/image.html");
    const want = classified("photos/chelsea.png");
    for (const mode of modes) {
      const got = await page.evaluate(async ({ adapter, mode }) => {
        const { default: init, Classifier } = await import("/doconv.js");
        await init();
        const classifier = await Classifier.load(await (await fetch("/models/efficientnet-lite0-doconv.safetensors")).arrayBuffer(), { adapter });
        const bitmap = await createImageBitmap(await (await fetch("/photos/chelsea.png")).blob());
        return (await classifier.classify(bitmap, { mode })).predictions;
      }, { adapter, mode });
      expectAlike(got, want);
    }
  });
}

test("pictures that neither has seen", async ({ page }) => {
  await open(page);
  const folder = mkdtempSync(join(tmpdir(), "doconv-"));
  const variants = [
    { photo: "coffee.png", x: 40, y: 30, width: 333, height: 301, turn: 0 },
    { photo: "astronaut.png", x: 100, y: 0, width: 257, height: 400, turn: 0.1 },
    { photo: "rocket.jpg", x: 200, y: 20, width: 301, height: 399, turn: -0.05 },
    { photo: "chelsea.png", x: 80, y: 10, width: 301, height: 280, turn: 0.3 },
  ];
  for (const [index, variant] of variants.entries()) {
    const base64 = await page.evaluate(async ({ photo, x, y, width, height, turn }) => {
      const bitmap = await createImageBitmap(await (await fetch(`photos/${photo}`)).blob());
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      context.rotate(turn);
      context.drawImage(bitmap, -x, -y);
      return canvas.toDataURL("image/png").split(",")[1];
    }, variant);
    const file = join(folder, `variant-${index}.png`);
    writeFileSync(file, Buffer.from(base64, "base64"));
    const [best] = classified(file);
    await choose(page, file);
    await expect(page.getByText(`variant-${index}.png`).first()).toBeVisible();
    await expect(predictions(page).first()).toContainText(best.label);
  }
});
