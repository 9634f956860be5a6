import init, { Classifier } from "../doconv.js";

const answer = /** @type {HTMLElement} */ (document.getElementById("answer"));
const photo = /** @type {HTMLImageElement} */ (document.getElementById("photo"));

try {
  await init();
  const model = await fetch("../models/efficientnet-lite0-doconv.safetensors").then((response) => response.arrayBuffer());
  const classifier = await Classifier.load(model);
  await photo.decode();
  const { predictions, elapsedMs } = await classifier.classify(photo, { topK: 3 });
  const lines = predictions.map(({ label, probability }) => `${(100 * probability).toFixed(1)} %  ${label}`);
  answer.textContent = [...lines, `${elapsedMs.toFixed(1)} ms on ${classifier.adapter.name}`].join("\n");
} catch (error) {
  answer.textContent = error instanceof Error ? error.message : String(error);
}
