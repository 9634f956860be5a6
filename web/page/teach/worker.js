// The worker that learns. protocol.js says what it is asked and what it answers.

import { decode } from "../worker/decode.js";
import { fetchModel } from "../worker/download.js";
import { serve } from "../worker/serve.js";

/** @typedef {import("../doconv_teach.js").Teacher} Teacher */
/** @typedef {import("./protocol.js").Methods} Methods */

/** @type {Teacher | null} */
let teacher = null;
let stopped = false;

async function open() {
  try {
    const module = await import("../doconv_teach.js");
    await module.default();
    return module;
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) throw error;
    throw new Error("The part that learns could not be loaded. Check the connection and try again.");
  }
}

function active() {
  if (!teacher) throw new Error("No network is being taught. Reload the page.");
  return teacher;
}

/** @type {{ [M in keyof Methods]: (params: Methods[M][0]) => Promise<Methods[M][1]> }} */
const methods = {
  async load({ source, adapter, preprocess }) {
    const [{ Teacher }, bytes] = await Promise.all([open(), fetchModel(source, () => {})]);
    teacher = await Teacher.load(bytes, { adapter, name: source.name, preprocess: preprocess ?? undefined });
    return { adapter: teacher.adapter, hasLastBlock: teacher.hasLastBlock };
  },

  async show({ id, picture, name }) {
    const bitmap = picture instanceof Blob ? await decode(picture, name) : picture;
    try {
      await active().show(id, bitmap);
    } finally {
      bitmap.close();
    }
    return null;
  },

  async forget({ id }) {
    await teacher?.forget(id);
    return null;
  },

  async teach({ classes, lastBlock }) {
    stopped = false;
    return active().teach(classes, {
      lastBlock,
      onProgress: async (epoch) => {
        self.postMessage({ event: "epoch", epoch });
        // A moment in which `stop` is heard.
        await new Promise((resolve) => setTimeout(resolve));
        return !stopped;
      },
    });
  },

  async stop() {
    stopped = true;
    return null;
  },
};

serve(methods);
