// The page's tests in Chromium, run by `cargo xtask web-test`, which sets the variables that are read here.
import { defineConfig } from "@playwright/test";

/** A driver for the program under test is not one for the browser: it brings its own. */
const { VK_DRIVER_FILES, VK_ICD_FILENAMES, ...env } = process.env;

export default defineConfig({
  testDir: "tests",
  outputDir: "../artifacts/web",
  reporter: "list",
  // One software adapter serves one page at a time, slowly.
  workers: 1,
  retries: 0,
  timeout: 300_000,
  expect: { timeout: 60_000 },
  use: {
    baseURL: process.env.DOCONV_PAGE,
    browserName: "chromium",
    screenshot: "only-on-failure",
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM,
      env,
      args: [
        "--no-sandbox",
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
      ],
    },
  },
});
