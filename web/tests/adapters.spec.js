// Honest about the hardware: a software adapter, and none at all. device-loss-page.spec.js has one that goes away.
import { chromium } from "@playwright/test";

import { expect, listen, open, test } from "./support.js";

/** @param {import("@playwright/test").Page} page */
const adapter = (page) => page.getByRole("region", { name: "Adapter" });

test("a software adapter is not taken by itself, and the page says so", async ({ page }) => {
  await open(page);
  await expect(adapter(page)).toContainText("CPU");
  await expect(adapter(page)).toContainText(/in software/);
  await expect(page.locator("body")).not.toContainText(/your GPU/);
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
