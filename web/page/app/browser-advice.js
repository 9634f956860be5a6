// What to switch on where WebGPU is missing, for the browser at hand.

const agent = navigator.userAgent;
const ios = /iPhone|iPad/.test(agent) || (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1);
const android = /Android/.test(agent);

function browser() {
  if (ios) return "ios";
  if (/Firefox\//.test(agent)) return android ? "firefox-android" : "firefox";
  if (/Edg/.test(agent)) return android ? "chrome-android" : "edge";
  if (/Chrome\//.test(agent)) return android ? "chrome-android" : "chrome";
  return /Safari\//.test(agent) ? "safari" : "other";
}

/** @type {Record<ReturnType<typeof browser>, string>} */
const MISSING = {
  chrome: "Chrome has it since version 113; on Linux, turn on “Unsafe WebGPU Support” at chrome://flags/#enable-unsafe-webgpu.",
  edge: "Edge has it since version 113; on Linux, turn on “Unsafe WebGPU Support” at edge://flags/#enable-unsafe-webgpu.",
  "chrome-android": "Chrome and Edge have it since version 121 on Android 12 or newer; update the browser, or turn it on at chrome://flags/#enable-unsafe-webgpu.",
  firefox: "Firefox has it since version 141 on Windows and 145 on Apple silicon; elsewhere set dom.webgpu.enabled to true at about:config.",
  "firefox-android": "Firefox for Android does not switch it on yet; Chrome has it on Android 12 or newer.",
  safari: "Safari has it since version 26; before that, turn on WebGPU in Develop › Feature Flags.",
  ios: "iOS and iPadOS have it since version 26; before that, turn it on in Settings › Apps › Safari › Advanced › Feature Flags.",
  other: "Current versions of Chrome, Edge, Firefox and Safari have it.",
};

/** @type {Partial<Record<ReturnType<typeof browser>, string>>} */
const NO_ADAPTER = {
  chrome: "Turn on graphics acceleration in Settings › System, and look at chrome://gpu for the reason.",
  edge: "Turn on graphics acceleration in Settings › System and performance, and look at edge://gpu for the reason.",
  firefox: "Turn on hardware acceleration in Settings › General › Performance, and look at about:support for the reason.",
};

/** Why there is no WebGPU here, and what to do about it. */
export function webGpuAdvice() {
  if (!isSecureContext) return "Browsers give WebGPU only to pages that come over https or from localhost.";
  if (!("gpu" in navigator)) return `This browser has no WebGPU switched on. ${MISSING[browser()]}`;
  return `This browser has WebGPU, but found no adapter for it. ${NO_ADAPTER[browser()] ?? "The system or its graphics driver may not be supported."}`;
}
