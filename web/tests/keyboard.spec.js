// What is done with keys: radio groups by arrows, samples and buttons by Enter and Space.
import { expect, open, predictions, status, test } from "./support.js";

test("arrows choose a mode, and what was chosen is run", async ({ page }) => {
  await open(page);
  const modes = page.getByRole("radiogroup", { name: "Mode" });
  const table = page.locator("#comparison");
  await modes.getByRole("radio", { name: "Folded" }).focus();
  for (const name of ["Composed (kernel)", "Composed (features)", "Folded"]) {
    await page.keyboard.press("ArrowRight");
    await expect(modes.getByRole("radio", { name })).toBeFocused();
    await expect(modes.getByRole("radio", { name })).toBeChecked();
    await expect(table.getByRole("row", { name: `${name} in use above` })).toBeVisible();
    await expect(page.getByText(/No class’s probability differs by more than/)).toBeVisible();
    await expect(predictions(page).first()).toContainText("tiger cat");
  }
});

test("Enter takes a sample, and Space measures", async ({ page }) => {
  await open(page);
  const sample = page.getByRole("list", { name: "Sample photographs" }).getByRole("button", { name: /espresso/ });
  await sample.focus();
  await page.keyboard.press("Enter");
  await expect(sample).toHaveAttribute("aria-pressed", "true");
  await expect(predictions(page).first()).toContainText("espresso");
  await expect(status(page)).toHaveText("coffee.png was classified.");
  await page.getByRole("button", { name: "Measure all three" }).focus();
  await page.keyboard.press("Space");
  await expect(page.getByText(/No class’s probability differs by more than/)).toBeVisible();
});

test("the first Tab skips to the classifier", async ({ page }) => {
  await open(page);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the classifier" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/#stage$/);
});
