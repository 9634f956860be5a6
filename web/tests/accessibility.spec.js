// For everyone: axe, and the keyboard alone.
import AxeBuilder from "@axe-core/playwright";

import { expect, open, test } from "./support.js";

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`axe finds nothing serious, ${colorScheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await open(page);
    const { violations } = await new AxeBuilder({ page }).analyze();
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)).toEqual([]);
  });
}

test("the keyboard reaches every control", async ({ page }) => {
  await open(page);
  const reached = new Set();
  await page.locator("body").press("Home");
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement?.id || document.activeElement?.getAttribute("name") || ""));
  }
  for (const id of ["camera", "image-file", "mode", "model", "model-file", "layer", "compare", "run-on", "bench"]) {
    expect([...reached], id).toContain(id);
  }
});
