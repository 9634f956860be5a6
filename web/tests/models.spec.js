// Files that visitors bring: models, and what is none.
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MODEL, choose, classified, doconv, drop, expect, open, predictions, root, status, test } from "./support.js";

const folder = mkdtempSync(join(tmpdir(), "doconv-"));

test("a composed model file and an ONNX file are dropped", async ({ page }) => {
  const [composed, onnx] = [join(folder, "composed.safetensors"), join(folder, "folded.onnx")];
  doconv("expand", MODEL, composed, "--dtype", "f16", "--jitter", "0.1");
  doconv("fold", MODEL, onnx, "--dtype", "f16");
  await open(page);
  for (const file of [composed, onnx]) {
    const [best] = classified("photos/chelsea.png", "--model", file);
    const name = file.split("/").pop() ?? "";
    await drop(page, name, readFileSync(file));
    const model = page.getByRole("combobox", { name: "Model", exact: true });
    await expect(model.locator("option:checked")).toContainText(name.split(".")[0]);
    await expect(predictions(page).first()).toContainText(best.label);
    await expect(predictions(page).first()).toContainText(`${(100 * best.probability).toFixed(1)}%`);
  }
});

test("the other bundled network is in the list, with its layers, and the first one is there again", async ({ page }) => {
  const [best] = classified("photos/chelsea.png", "--model", "cifar10");
  await open(page);
  const model = page.getByRole("combobox", { name: "Model", exact: true });
  await model.selectOption({ label: "ResNet-20, CIFAR-10" });
  await expect(predictions(page).first()).toContainText(best.label);
  await expect(predictions(page).first()).toContainText(`${(100 * best.probability).toFixed(1)}%`);
  await expect(page.locator("#model-note")).toContainText("10 classes · 19 DO-Conv layers");
  await model.selectOption({ label: "EfficientNet-Lite0, ImageNet" });
  await expect(predictions(page).first()).toContainText("tiger cat");
});

test("an ONNX file that says nothing of photographs is classified with what is usual, and a note", async ({ page }) => {
  await open(page);
  await drop(page, "resnet20.onnx", readFileSync(join(root, "tests/data/onnx/doconv-einsum-legacy.onnx")));
  await expect(page.getByLabel("Pixel values become")).toBeVisible();
  await expect(predictions(page)).not.toHaveCount(0);
});

test("what reads ONNX files is fetched when one comes, and again if that failed", async ({ page, context }) => {
  const module = /doconv_onnx_bg\.wasm/;
  let asked = 0;
  // The service worker's own requests are not the page's.
  page.on("request", (request) => asked += Number(module.test(request.url()) && !request.serviceWorker()));
  await context.route(module, (route) => route.abort());
  await open(page);
  expect(asked).toBe(0);
  await drop(page, "resnet20.onnx", onnx);
  await expect(status(page)).toContainText(/resnet20\.onnx: the part that reads ONNX files could not be loaded/);
  await context.unroute(module);
  await drop(page, "resnet20.onnx", onnx);
  await expect(page.getByLabel("Pixel values become")).toBeVisible();
});

const whole = readFileSync(MODEL);
const onnx = readFileSync(join(root, "tests/data/onnx/doconv-einsum-legacy.onnx"));
/** @type {[string, Buffer, RegExp][]} */
const broken = [
  ["words.png", Buffer.from("this is no picture"), /words\.png.*not an image/],
  ["empty.safetensors", Buffer.alloc(0), /empty\.safetensors/],
  ["cut.safetensors", whole.subarray(0, 100_000), /cut\.safetensors/],
  ["cut.onnx", onnx.subarray(0, 5000), /cut\.onnx/],
  ["words.onnx", Buffer.from("this is no network"), /words\.onnx/],
];

test("broken files are named, and the page goes on", async ({ page }) => {
  await open(page);
  for (const [name, bytes, message] of broken) {
    await drop(page, name, bytes);
    await expect(status(page)).toContainText(message);
  }
  await choose(page, join(root, "photos/coffee.png"));
  await expect(predictions(page).first()).toContainText("espresso");
});

// A worker that is no longer of use is replaced, twice, and then no network is loaded.
for (const fatal of [false, true]) {
  test(`a network that loads but cannot run${fatal ? ", and ends the worker," : ""} leaves no answers of another`, async ({ page, context }) => {
    await context.route(/\/worker\.js/, async (route) => {
      const response = await route.fetch();
      const patch = `
        const answerWith = self.postMessage.bind(self);
        let bundled = true;
        self.postMessage = (message) => {
          const { id, result } = message;
          if (result?.model) bundled = result.model.name === "efficientnet_lite0";
          answerWith(result?.predictions && !bundled ? { id, error: { message: "out of memory", fatal: ${fatal} } } : message);
        };`;
      await route.fulfill({ response, body: (await response.text()) + patch });
    });
    await open(page);
    await drop(page, "resnet20.onnx", onnx);
    await expect(status(page)).toContainText("out of memory");
    await expect(page.getByText("No network is loaded")).toBeVisible({ visible: fatal });
    await expect(predictions(page)).toHaveCount(0);
    await expect(page.getByText("tiger cat")).toHaveCount(0);
    const model = page.getByRole("combobox", { name: "Model", exact: true });
    await expect(model.locator("option:checked")).toContainText("resnet20.onnx");
    await model.selectOption({ label: "EfficientNet-Lite0, ImageNet" });
    await expect(predictions(page).first()).toContainText("tiger cat");
  });
}
