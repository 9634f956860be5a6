// The camera and the tab: frames come, stop while nobody looks, and come again.
import { expect, open, test } from "./support.js";

/** How many frames were classified: each is one message to the worker with a bitmap. @param {import("@playwright/test").Page} page */
const frames = (page) => page.evaluate(() => /** @type {any} */ (globalThis).classifiedFrames);

/** Another tab in front, or not: headless pages are always visible. @param {import("@playwright/test").Page} page @param {boolean} hidden */
const hide = (page, hidden) => page.evaluate((value) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
  document.dispatchEvent(new Event("visibilitychange"));
}, hidden);

test("no frame is classified while the tab is hidden; afterwards they go on", async ({ page, context }) => {
  await context.grantPermissions(["camera"]);
  await page.addInitScript(() => {
    const counter = /** @type {any} */ (globalThis);
    counter.classifiedFrames = 0;
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (message.method === "classify" && message.params.picture instanceof ImageBitmap) counter.classifiedFrames += 1;
      return post.call(this, message, .../** @type {[any]} */ (rest));
    };
  });
  await open(page);
  await page.getByRole("button", { name: "Use the camera" }).click();
  await expect.poll(() => frames(page)).toBeGreaterThan(3);

  await hide(page, true);
  await expect(page.getByRole("status", { name: "Status" })).toContainText("pauses while this tab is hidden");
  expect(await page.locator("#video").evaluate((video) => /** @type {HTMLVideoElement} */ (video).paused)).toBe(true);
  // One may have been on its way.
  await page.waitForTimeout(200);
  const paused = await frames(page);
  await page.waitForTimeout(1500);
  expect(await frames(page)).toBe(paused);

  await hide(page, false);
  await expect.poll(() => frames(page)).toBeGreaterThan(paused + 3);
  await page.getByRole("button", { name: "Stop the camera" }).click();
  await expect(page.getByRole("button", { name: "Use the camera" })).toBeVisible();
  const stopped = await frames(page);
  await page.waitForTimeout(500);
  expect(await frames(page)).toBe(stopped);
});
