// A browser that has WebGPU, but nothing to run it on.
import { expect, open, predictions, test } from "./support.js";

test("without an adapter the page says so, and classifies on the CPU", async ({ page }) => {
  // A worker is not reached by init scripts: the page's own is started by a module that asks for adapters in vain.
  await page.route("**/worker.js", async (route) => {
    const response = await route.fetch();
    const nothing = "GPU.prototype.requestAdapter = async () => null;\n";
    await route.fulfill({ response, body: nothing + (await response.text()) });
  });
  await open(page);
  const adapter = page.getByRole("region", { name: "Adapter" });
  await expect(adapter).toContainText("CPU, through WebAssembly");
  await expect(adapter).toContainText("found no adapter");
  const choice = page.getByRole("radiogroup", { name: "Run on" });
  await expect(choice.getByRole("radio", { name: "WebGPU" })).toBeDisabled();
  await expect(choice.getByRole("radio", { name: "CPU" })).toBeChecked();
  await page.getByRole("button", { name: /espresso/ }).click();
  await expect(predictions(page).first()).toContainText("espresso");
});
