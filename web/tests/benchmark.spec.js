// The benchmark writes the record that the program writes.
import { readFileSync } from "node:fs";

import { doconv, expect, open, test } from "./support.js";

test("the benchmark runs, draws, and can be downloaded", async ({ page }) => {
  await open(page);
  await page.getByRole("button", { name: "Run the benchmark" }).click();
  const link = page.getByRole("link", { name: "Download results (JSON)" });
  await expect(link).toBeVisible({ timeout: 240_000 });
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const record = JSON.parse(readFileSync(await download.path(), "utf8"));
  const native = JSON.parse(doconv("bench", "--suite", "layers", "--filter", "dw3x3", "--budget", "0.01", "--json", "--adapter", "cpu"));
  expect(record.schema).toBe(native.schema);
  expect(Object.keys(record).sort()).toEqual(Object.keys(native).sort());
  expect(record.environment.browser).toContain("Chrome");
  expect(record.results.length).toBe(16);
  for (const result of record.results) expect(result.check?.ok, JSON.stringify(result)).toBe(true);
  // Browsers have one precision.
  const { precision, ...inBrowsers } = native.results[0];
  expect(precision).toBe("f32");
  expect(Object.keys(record.results[0]).sort()).toEqual(Object.keys(inBrowsers).sort());
  await expect(page.locator("#bench-chart svg")).toHaveCount(16);
});

test("a listener ends the benchmark, on WebGPU too", async ({ page }) => {
  await page.goto("/examples/image.html");
  const record = await page.evaluate(async () => {
    const { default: init, benchmark } = await import("/doconv.js");
    await init();
    const model = await (await fetch("/models/efficientnet-lite0-doconv.safetensors")).arrayBuffer();
    return benchmark(model, { adapter: "webgpu", suites: ["layers"], filter: "3x3", budgetMs: 10, onProgress: ({ done }) => done < 1 });
  });
  expect(record.stopped).toBe(true);
  expect(record.results.length).toBe(1);
  expect(record.results[0].check.ok).toBe(true);
  expect(record.adapter.type).toBe("software");
});

test("the fastest kernels are found once, and remembered", async ({ page }) => {
  await page.goto("/examples/image.html");
  const found = await page.evaluate(async () => {
    const { default: init, benchmark } = await import("/doconv.js");
    await init();
    const model = await (await fetch("/models/efficientnet-lite0-doconv.safetensors")).arrayBuffer();
    const run = async (/** @type {"full" | "load" | "off"} */ tune) => {
      const options = { adapter: "webgpu", suites: ["layers"], filter: "dw3x3-144@56", budgetMs: 10, tune };
      const { settings, results } = await benchmark(model, options);
      return [settings.tuned, results[0].check.ok];
    };
    return [await run("load"), await run("full"), await run("load"), await run("off")];
  });
  expect(found).toEqual([[0, true], [1, true], [1, true], [0, true]]);
});
