// Minutes of live camera, with the memory that the browser takes: `node tests/soak.js [MINUTES]`, against DOCONV_PAGE, with
// CHROMIUM. Not a test: what it prints is for people to judge.
import { execSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "@playwright/test";

const minutes = Number(process.argv[2] ?? 10);
const executablePath = process.env.CHROMIUM;
const flags = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--use-fake-ui-for-media-stream"];
const profile = mkdtempSync(join(tmpdir(), "doconv-"));

/** Frames that differ: the photograph wanders. @param {import("@playwright/test").Page} page */
async function film(page) {
  const frames = await page.evaluate(async () => {
    const bitmap = await createImageBitmap(await (await fetch("photos/coffee.png")).blob());
    const canvas = Object.assign(document.createElement("canvas"), { width: 600, height: 400 });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    return Array.from({ length: 30 }, (_, at) => {
      context.drawImage(bitmap, -at / 2, -at / 3, 620, 413);
      return canvas.toDataURL("image/jpeg", 0.9).split(",")[1];
    });
  });
  const path = join(profile, "coffee.mjpeg");
  writeFileSync(path, Buffer.concat(frames.map((frame) => Buffer.from(frame, "base64"))));
  return path;
}

/** Resident memory of every process of this browser, in MiB. @param {string} mark */
function resident(mark) {
  const lines = execSync("ps -eo rss,args", { maxBuffer: 1 << 24 }).toString().split("\n").filter((line) => line.includes(mark));
  return lines.map((line) => Number(line.trim().split(/\s+/)[0])).reduce((a, b) => a + b, 0) / 1024;
}

const first = await chromium.launch({ executablePath, args: flags });
const preparing = await first.newPage();
await preparing.goto(String(process.env.DOCONV_PAGE));
const path = await film(preparing);
await first.close();

const args = [...flags, "--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${path}`];
const context = await chromium.launchPersistentContext(join(profile, "profile"), { executablePath, args, permissions: ["camera"] });
const page = await context.newPage();
await page.goto(String(process.env.DOCONV_PAGE));
await page.getByRole("list", { name: "Predictions" }).getByRole("listitem").first().waitFor();
await page.getByRole("button", { name: "Use the camera" }).click();
const session = await context.newCDPSession(page);
for (let minute = 0; minute <= minutes; minute += 1) {
  if (minute) await page.waitForTimeout(60_000);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  const best = await page.getByRole("list", { name: "Predictions" }).getByRole("listitem").first().innerText();
  const timing = (await page.getByRole("region", { name: "Timing" }).innerText()).replaceAll(/\s+/g, " ");
  console.log(`${minute} min: ${resident(profile).toFixed(0)} MiB resident, page heap ${(usedSize / 2 ** 20).toFixed(1)} MiB; ${best.replaceAll(/\s+/g, " ")}; ${timing}`);
}
await context.close();
