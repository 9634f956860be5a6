// For people to look at; kept by whoever runs the tests.
import { join } from "node:path";

import { open, root, test } from "./support.js";

for (const [name, width, height] of /** @type {const} */ ([["phone", 390, 844], ["desktop", 1440, 900]])) {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`${name}, ${colorScheme}`, async ({ page }) => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await open(page);
      const path = (/** @type {string} */ part) => join(root, `artifacts/page-${name}-${colorScheme}${part}.png`);
      await page.screenshot({ path: path("") });
      await page.screenshot({ path: path("-whole"), fullPage: true });
    });
  }
}
