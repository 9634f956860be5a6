// The page as a whole opens in the browser that the other tests rely on.
import { expect, test } from "@playwright/test";

test("the page opens, isolated from other origins", async ({ page }) => {
  await page.goto("/");
  await expect(page).toHaveTitle(/doconv/i);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
});

test("WebGPU has the software adapter", async ({ page }) => {
  await page.goto("/");
  const info = await page.evaluate(async () => {
    const adapter = await navigator.gpu?.requestAdapter();
    return adapter && { vendor: adapter.info.vendor, architecture: adapter.info.architecture };
  });
  expect(info).toEqual({ vendor: "google", architecture: "swiftshader" });
});
