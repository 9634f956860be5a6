// The same answer in every mode, and its cost.
import { expect, open, predictions, test } from "./support.js";

test("switching modes leaves the answer, and measuring shows the bill", async ({ page }) => {
  await open(page);
  const before = await predictions(page).allInnerTexts();
  const modes = page.getByRole("radiogroup", { name: "Mode" });
  for (const mode of ["Composed (kernel)", "Composed (features)", "Folded"]) {
    await modes.getByRole("radio", { name: mode }).check({ force: true });
    await expect(modes.getByRole("radio", { name: mode })).toBeChecked();
    await expect(page.locator("#comparison tr").filter({ hasText: "in use above" })).toContainText(mode);
    await expect.poll(() => predictions(page).allInnerTexts()).toEqual(before);
  }
  await page.getByRole("button", { name: "Measure all three" }).click();
  await expect(page.getByText(/No class’s probability differs by more than/)).toBeVisible();
  const rows = page.locator("#comparison tr");
  await expect(rows).toHaveCount(3);
  for (const row of await rows.all()) await expect(row).toContainText(/\d\s?m?s/);
});

test("the kernel is the product", async ({ page }) => {
  await open(page);
  const product = await page.evaluate(async () => {
    const { default: init, Classifier } = await import(new URL("doconv.js", location.href).href);
    await init();
    const model = await (await fetch("models/efficientnet-lite0-doconv.safetensors")).arrayBuffer();
    const classifier = await Classifier.load(model, { adapter: "cpu", expand: true });
    const layers = classifier.layers();
    const { d, w, kernel, dMul } = classifier.factors(layers[5].name, 7, 0);
    const made = Array.from(kernel, (_, tap) => Array.from(w, (value, s) => value * d[tap * dMul + s]).reduce((a, b) => a + b));
    return { layers: layers.length, largest: Math.max(...made.map((value, tap) => Math.abs(value - kernel[tap]))), taps: kernel.length };
  });
  expect(product.layers).toBe(17);
  expect(product.taps).toBeGreaterThan(1);
  expect(product.largest).toBeLessThan(1e-4);
  await expect(page.getByRole("combobox", { name: "Layer" })).toBeEnabled();
});
