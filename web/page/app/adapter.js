// What the arithmetic runs on, said honestly.

import { webGpuAdvice } from "./browser-advice.js";
import { byId, make, radios } from "./dom.js";

/** @typedef {import("./protocol.js").AdapterInfo} AdapterInfo */

const kind = byId("adapter-kind", HTMLElement);
const note = byId("adapter-note", HTMLElement);
const facts = byId("adapter-facts", HTMLElement);
const choices = radios("run-on");

/** @type {AdapterInfo[]} */
let known = [];

/** @param {AdapterInfo} adapter */
export const isCpu = (adapter) => adapter.type === "cpu";

/** @param {AdapterInfo} adapter */
const maker = ({ vendor, name }) => [vendor, name].filter(Boolean)[0] ?? "unnamed";

/** In a few words, for sentences. @param {AdapterInfo} adapter */
export function describe(adapter) {
  if (isCpu(adapter)) return "CPU (wasm SIMD)";
  return adapter.type === "software" ? `software adapter (${maker(adapter)})` : `GPU (${maker(adapter)})`;
}

/** @param {AdapterInfo} adapter */
function headline(adapter) {
  switch (adapter.type) {
    case "cpu": return "CPU, through WebAssembly";
    case "software": return "WebGPU in software, on the CPU";
    case "discrete": return "WebGPU, on a discrete GPU";
    case "integrated": return "WebGPU, on an integrated GPU";
    default: return "WebGPU, on a hardware adapter";
  }
}

/** @param {AdapterInfo} adapter */
function explanation(adapter) {
  const webgpu = known.find((other) => !isCpu(other));
  if (adapter.type === "software") return "This browser has no graphics processor for WebGPU and runs the shaders in software. The CPU path is faster here.";
  if (!isCpu(adapter)) return "";
  if (!webgpu) return `${webGpuAdvice()} The CPU path classifies anyway.`;
  if (webgpu.type === "software") return "This browser runs WebGPU in software, without a graphics processor. The CPU path is faster here, so it is taken; WebGPU can be tried.";
  return "This browser can use WebGPU too.";
}

/** What the browsers of today give away is little; what is not known is not shown. @param {AdapterInfo} adapter */
function rows(adapter) {
  /** @type {[string, string | undefined][]} */
  const all = [
    ["Kind", { cpu: "CPU", software: "software", discrete: "hardware, discrete", integrated: "hardware, integrated", other: "hardware" }[adapter.type]],
    ["Name", adapter.name],
    ["Vendor", adapter.vendor],
    ["Architecture", adapter.architecture],
    ["Backend", isCpu(adapter) ? "WebAssembly" : adapter.backend],
    ["Driver", adapter.driver],
    ["Features used", adapter.features.join(", ") || (isCpu(adapter) ? "SIMD" : "none beyond WebGPU’s baseline")],
  ];
  return all.filter(([, value]) => value);
}

/** Shows which adapters there are to choose from. @param {AdapterInfo[]} adapters */
export function showChoices(adapters) {
  known = adapters;
  for (const radio of choices) {
    radio.disabled = radio.value === "webgpu" && !adapters.some((adapter) => !isCpu(adapter));
  }
}

/** @param {AdapterInfo | null} adapter the one in use */
export function showAdapter(adapter) {
  if (!adapter) {
    kind.textContent = "Nothing is loaded";
    return;
  }
  kind.textContent = headline(adapter);
  note.textContent = explanation(adapter);
  facts.replaceChildren(...rows(adapter).map(([term, value]) =>
    make("div", {}, make("dt", {}, term), make("dd", {}, value ?? ""))));
  for (const radio of choices) radio.checked = (radio.value === "cpu") === isCpu(adapter);
}

/** @param {(choice: "webgpu" | "cpu") => void} onChoice */
export function listenForAdapter(onChoice) {
  for (const radio of choices) {
    radio.addEventListener("change", () => onChoice(radio.value === "cpu" ? "cpu" : "webgpu"));
  }
}
