// Honest about the hardware: software adapters, none at all, and one that goes away.
import { chromium } from "@playwright/test";

import { expect, listen, open, predictions, status, test } from "./support.js";

/** @param {import("@playwright/test").Page} page */
const adapter = (page) => page.getByRole("region", { name: "Adapter" });

test("a software adapter is not taken by itself, but it can be; and a lost device is replaced", async ({ page }) => {
  const worker = page.waitForEvent("worker");
  await open(page);
  await expect(adapter(page)).toContainText("CPU");
  await expect(adapter(page)).toContainText(/in software/);
  await expect(page.locator("body")).not.toContainText(/your GPU/);

  // The worker is the page's own; what it asks WebGPU for is noted.
  await (await worker).evaluate(() => {
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...rest) {
      return (globalThis.noted = await request.apply(this, rest));
    };
  });
  await page.getByRole("radiogroup", { name: "Run on" }).getByRole("radio", { name: "WebGPU" }).check({ force: true });
  await expect(adapter(page)).toContainText(/swiftshader/i, { timeout: 120_000 });
  await expect(status(page)).toContainText(/Ready/, { timeout: 120_000 });
  await expect(predictions(page).first()).toContainText("tiger cat");

  await (await worker).evaluate(() => globalThis.noted.destroy());
  await page.getByRole("button", { name: /espresso/i }).click();
  await expect(predictions(page).first()).toContainText("espresso", { timeout: 120_000 });
  await expect(status(page)).toContainText(/lost/i);
});

test("without WebGPU the page says what to switch on, and classifies", async ({ baseURL }, info) => {
  const { executablePath, env } = info.project.use.launchOptions ?? {};
  const args = ["--no-sandbox", "--disable-features=WebGPU,WebGPUService", "--disable-gpu", "--disable-webgpu"];
  const browser = await chromium.launch({ executablePath, env, args: [...args, "--disable-background-networking", "--disable-component-update"] });
  try {
    const page = await browser.newPage({ baseURL });
    const complaints = listen(page);
    await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "gpu"));
    await open(page);
    await expect(adapter(page)).toContainText(/no WebGPU|without WebGPU|not offer|switch/i);
    expect(complaints).toEqual([]);
  } finally {
    await browser.close();
  }
});
