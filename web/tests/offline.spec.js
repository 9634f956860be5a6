// The second visit needs no network.
import { expect, open, predictions, test } from "./support.js";

test("the page works offline after the first visit", async ({ page, context }) => {
  await open(page);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await expect.poll(() => page.evaluate(async () => {
    const names = await caches.keys();
    const kept = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).length));
    return kept.reduce((a, b) => a + b, 0);
  })).toBeGreaterThan(20);
  await context.setOffline(true);
  await page.reload();
  await expect(predictions(page).first()).toContainText("tiger cat");
});
