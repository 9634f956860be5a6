// A camera that shows a photograph.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "@playwright/test";

import { expect, listen, open, predictions, test } from "./support.js";

/** Frames of a photograph as motion JPEG, which is what Chromium's fake camera plays. @param {import("@playwright/test").Page} page */
async function film(page) {
  const base64 = await page.evaluate(async () => {
    const bitmap = await createImageBitmap(await (await fetch("photos/coffee.png")).blob());
    const canvas = Object.assign(document.createElement("canvas"), { width: 600, height: 400 });
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(bitmap, 0, 0, 600, 400);
    return canvas.toDataURL("image/jpeg", 0.95).split(",")[1];
  });
  const frame = Buffer.from(base64, "base64");
  const path = join(mkdtempSync(join(tmpdir(), "doconv-")), "coffee.mjpeg");
  writeFileSync(path, Buffer.concat(Array(30).fill(frame)));
  return path;
}

test("the camera is classified live, stops when it is told to, and while nobody looks", async ({ page, baseURL }, info) => {
  await page.goto("/");
  const path = await film(page);
  const { executablePath, args = [], env } = info.project.use.launchOptions ?? {};
  const browser = await chromium.launch({ executablePath, env, args: [...args, `--use-file-for-fake-video-capture=${path}`] });
  try {
    const context = await browser.newContext({ baseURL, permissions: ["camera"] });
    const live = await context.newPage();
    const complaints = listen(live);
    await open(live);
    await live.getByRole("button", { name: "Use the camera" }).click();
    await expect(predictions(live).first()).toContainText("espresso");
    const timing = live.getByRole("region", { name: "Timing" });
    await expect(timing).toContainText(/p95|95/i);
    await expect(timing).toContainText(/frames|fps|per second/i);

    // Nobody looks: another tab is in front.
    await live.evaluate(() => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await live.waitForTimeout(1500);
    const still = await timing.innerText();
    await live.waitForTimeout(1500);
    expect(await timing.innerText()).toBe(still);
    await live.evaluate(() => {
      Reflect.deleteProperty(document, "hidden");
      Reflect.deleteProperty(document, "visibilityState");
      document.dispatchEvent(new Event("visibilitychange"));
    });

    await live.getByRole("radiogroup", { name: "Mode" }).getByRole("radio", { name: "Composed (kernel)" }).check({ force: true });
    await expect(predictions(live).first()).toContainText("espresso");
    await live.getByRole("button", { name: "Stop the camera" }).click();
    await expect(live.getByRole("button", { name: "Use the camera" })).toBeVisible();
    expect(complaints).toEqual([]);
  } finally {
    await browser.close();
  }
});
