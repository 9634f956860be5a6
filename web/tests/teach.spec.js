// Teaching: two things, a head that learns them, a file that the program takes.
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import AxeBuilder from "@axe-core/playwright";

import { PHOTOS, choose, classified, expect, open, root, status, test } from "./support.js";

const folder = mkdtempSync(join(tmpdir(), "doconv-"));
const photo = (/** @type {string} */ name) => join(root, "photos", name);
const panel = (/** @type {import("@playwright/test").Page} */ page) => page.getByRole("tabpanel", { name: "Teach" });
const rows = (/** @type {import("@playwright/test").Page} */ page) => page.getByRole("list", { name: "Classes" }).getByRole("listitem");

/** Opens the tab, and gives every class its pictures. @param {import("@playwright/test").Page} page @param {Record<string, string[]>} classes */
async function show(page, classes, first = 1) {
  await page.getByRole("tab", { name: "Teach" }).click();
  let id = first - 1;
  for (const [label, files] of Object.entries(classes)) {
    id += 1;
    if (id > 2) await page.getByRole("button", { name: "Add a class" }).click();
    await page.getByLabel(`Name of class ${id}`).fill(label);
    await page.getByLabel(`Choose files for class ${id}`).setInputFiles(files.map(photo));
    await expect(rows(page).nth(id - first)).toContainText(files.length === 1 ? "1 picture" : `${files.length} pictures`);
  }
}

/** @param {import("@playwright/test").Page} page */
async function download(page, name = /Download, folded/) {
  const waiting = page.waitForEvent("download");
  await panel(page).getByRole("link", { name }).click();
  const file = await waiting;
  const path = join(folder, file.suggestedFilename());
  await file.saveAs(path);
  return path;
}

const five = (/** @type {string} */ name) => Array(5).fill(name);

for (const adapter of ["CPU (wasm SIMD)", "WebGPU"]) {
  test(`two things are learnt on ${adapter}, told apart, and the file is the program's`, async ({ page }) => {
    await open(page);
    await page.getByRole("radiogroup", { name: "Run on" }).getByRole("radio", { name: adapter }).check({ force: true });
    await expect(status(page)).toContainText(/runs on|Ready/);
    await show(page, { "a cat": five("chelsea.png"), Kaffee: five("coffee.png") });
    const train = page.getByRole("button", { name: "Train" });
    await expect(train).toBeEnabled();
    await train.click();
    await expect(page.getByRole("img", { name: "Loss by epoch" })).toBeVisible();
    await expect(panel(page)).toContainText("2 of 2 pictures that it did not learn from are classified rightly", { timeout: 240_000 });
    await expect(panel(page)).toContainText(/Loss 0\.0\d\d, 100\.0% right/);

    // The page classifies with it now.
    await expect(rows(page).first()).toHaveClass(/best/);
    await choose(page, photo("coffee.png"));
    await expect(rows(page).nth(1)).toHaveClass(/best/);
    await expect(rows(page).nth(1)).toContainText(/(9\d|100)\.\d%/);

    // The folded file and the composed one are the same network, for the program too.
    const [folded, composed] = [await download(page), await download(page, /With D and W/)];
    expect(folded).toContain("a-cat-or-kaffee.safetensors");
    for (const [name, label] of [["chelsea.png", "a cat"], ["coffee.png", "Kaffee"]]) {
      const [best] = classified(`photos/${name}`, "--model", folded);
      expect(best.label).toBe(label);
      expect(best.probability).toBeGreaterThan(0.9);
      const [same] = classified(`photos/${name}`, "--model", composed);
      expect(Math.abs(same.probability - best.probability)).toBeLessThan(5e-3);
    }
    expect(readFileSync(folded).includes(Buffer.from("head.conv.weight"))).toBe(true);
    expect(readFileSync(composed).includes(Buffer.from("head.conv.D"))).toBe(true);

    // Its D and W can be looked at.
    await page.getByRole("tab", { name: "Classify" }).click();
    await expect(page.locator("#layer")).toContainText("head.conv");
  });
}

test("the camera is recorded while the button is held, and learning can be stopped and repeated", async ({ page }) => {
  await open(page);
  await page.getByRole("button", { name: "Use the camera" }).click();
  await page.getByRole("tab", { name: "Teach" }).click();
  const record = rows(page).first().getByRole("button", { name: "Hold to record" });
  await record.hover();
  await page.mouse.down();
  await expect(rows(page).first()).toContainText(/[4-9] pictures/);
  await page.mouse.up();
  await expect(record).toBeVisible();
  // A short press is one picture, and the keyboard does as well.
  const second = rows(page).nth(1);
  await second.getByRole("button", { name: "Hold to record" }).press("Enter");
  await expect(second).toContainText("1 picture");
  await page.getByRole("button", { name: "Train" }).click();
  await page.getByRole("button", { name: "Stop here" }).click();
  await expect(panel(page)).toContainText("Learnt Class 1, Class 2.", { timeout: 240_000 });
  await expect(rows(page).first()).toContainText("%");
  await page.getByRole("switch", { name: /last DO.Conv layer/ }).check({ force: true });
  await page.getByRole("button", { name: "Train" }).click();
  await expect(panel(page)).toContainText(/[1-9]\d* of 80/);
  await page.getByRole("button", { name: "Stop here" }).click();
  await expect(panel(page)).toContainText("Learnt Class 1, Class 2.", { timeout: 240_000 });
});

test("what is missing is said, and a file that is no picture is named", async ({ page }) => {
  await open(page);
  // The link at the top, as often as one likes, or the arrows.
  for (const way of ["link", "link", "arrow"]) {
    if (way === "link") await page.getByRole("link", { name: "Teach" }).click();
    else await page.getByRole("tab", { name: "Classify" }).press("ArrowRight");
    await expect(panel(page)).toBeVisible();
    if (way === "link") await page.getByRole("tab", { name: "Classify" }).click();
  }
  const train = page.getByRole("button", { name: "Train" });
  await expect(train).toBeDisabled();
  await expect(panel(page)).toContainText("No pictures yet: Class 1, Class 2.");
  await page.getByLabel("Choose files for class 1").setInputFiles([
    { name: "words.png", mimeType: "image/png", buffer: Buffer.from("this is no picture") },
    { name: "cat.png", mimeType: "image/png", buffer: readFileSync(photo("chelsea.png")) },
  ]);
  await expect(status(page)).toContainText("words.png: not an image");
  await expect(rows(page).first()).toContainText("1 picture");
  await expect(panel(page)).toContainText("No pictures yet: Class 2.");
  await rows(page).nth(1).getByRole("button", { name: "Add picture" }).press("Enter");
  await expect(train).toBeEnabled();
  await page.getByLabel("Name of class 2").fill("Class 1");
  await expect(panel(page)).toContainText("Two classes are called Class 1.");
  await expect(train).toBeDisabled();
  await page.getByRole("button", { name: "Remove class 2" }).click();
  await expect(panel(page)).toContainText("at least two classes");
});

test("a class that is removed while its pictures are read is gone, and nothing waits for it", async ({ page }) => {
  await open(page);
  await page.getByRole("tab", { name: "Teach" }).click();
  await page.getByLabel("Choose files for class 1").setInputFiles(Array(30).fill(photo("chelsea.png")));
  await expect(panel(page)).toContainText("Looking at the pictures.");
  await expect(page.getByRole("button", { name: "Train" })).toBeDisabled();
  await expect(rows(page).first()).toContainText(/[1-9] picture/);
  await page.getByRole("button", { name: "Remove class 1" }).click();
  await expect(page.getByRole("button", { name: "Add a class" })).toBeFocused();
  await expect(panel(page)).not.toContainText("Looking at the pictures.");
  await show(page, { coffee: ["coffee.png"] }, 2);
  await expect(rows(page)).toHaveCount(1);
});

test("the part that learns is fetched when it is wanted, and again if that failed", async ({ page, context }) => {
  const module = /doconv_teach_bg\.wasm/;
  let asked = 0;
  page.on("request", (request) => asked += Number(/teach\//.test(request.url()) && !request.serviceWorker()));
  // First, so that the service worker does not keep it either.
  await context.route(module, (route) => route.abort());
  await open(page);
  expect(asked).toBe(0);
  await page.getByRole("tab", { name: "Teach" }).click();
  await page.getByLabel("Choose files for class 1").setInputFiles(photo(PHOTOS[0]));
  await expect(status(page)).toContainText("could not be loaded");
  await context.unroute(module);
  await page.getByLabel("Choose files for class 1").setInputFiles(photo(PHOTOS[0]));
  await expect(rows(page).first()).toContainText("1 picture");
});

for (const [name, width, height] of /** @type {const} */ ([["phone", 390, 844], ["desktop", 1440, 900]])) {
  test(`the tab is for everyone, ${name}`, async ({ page }) => {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ reducedMotion: "reduce", colorScheme: name === "phone" ? "dark" : "light" });
    await open(page);
    const path = (/** @type {string} */ part) => join(root, `artifacts/teach-${name}-${part}.png`);
    await show(page, { "Chelsea": ["chelsea.png"], "a cup of coffee": ["coffee.png", "coffee.png"], "rocket": ["rocket.jpg"] });
    await page.screenshot({ path: path("before"), fullPage: true, clip: { x: 0, y: 0, width, height: 1700 } });
    await page.getByRole("button", { name: "Train" }).click();
    await expect(panel(page)).toContainText(/[1-9]\d* of 80/);
    await page.screenshot({ path: path("during"), fullPage: true, clip: { x: 0, y: 0, width, height: 1700 } });
    await expect(panel(page)).toContainText("Learnt Chelsea", { timeout: 240_000 });
    await expect(rows(page).first()).toHaveClass(/best/);
    await page.screenshot({ path: path("after"), fullPage: true, clip: { x: 0, y: 0, width, height: 1700 } });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)).toEqual([]);
  });
}
