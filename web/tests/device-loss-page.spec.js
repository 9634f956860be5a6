// The same on the page: the loss is told, and the next picture is classified.
import { expect, open, predictions, status, test } from "./support.js";

test("the page says that a lost device was rebuilt, and goes on with WebGPU", async ({ page }) => {
  const started = page.waitForEvent("worker");
  await open(page);
  const worker = await started;
  await worker.evaluate(() => {
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...rest) {
      return (/** @type {any} */ (globalThis).lastDevice = await request.apply(this, rest));
    };
  });
  await page.getByRole("radiogroup", { name: "Run on" }).getByRole("radio", { name: "WebGPU" }).check({ force: true });
  await expect(status(page)).toContainText("runs on the software adapter", { timeout: 120_000 });

  await worker.evaluate(async () => {
    const { lastDevice } = /** @type {any} */ (globalThis);
    lastDevice.destroy();
    await lastDevice.lost;
  });
  await page.getByRole("button", { name: /espresso/ }).click();
  await expect(predictions(page).first()).toContainText("espresso", { timeout: 120_000 });
  // The message is not replaced by the one that the picture was classified.
  await expect(status(page)).toContainText("was lost and rebuilt");
  await expect(page.getByRole("region", { name: "Adapter" })).toContainText("WebGPU in software");
});
