// The camera: one frame at a time, none while the tab is hidden.

import { byId } from "./dom.js";

const video = byId("video", HTMLVideoElement);

/** Larger pictures cost time to copy, and the network sees 224 pixels of them. The shape is that of the page's frame. */
const SIZE = { width: { ideal: 960 }, height: { ideal: 640 } };

/** What went wrong, and the way out. @type {Record<string, string>} */
const REASONS = {
  NotAllowedError: "The camera was refused. Allow it for this site in the browser's settings, or choose an image.",
  NotFoundError: "There is no camera here. Choose an image instead.",
  NotReadableError: "The camera is in use by another program. Close that, or choose an image.",
  OverconstrainedError: "There is no such camera here. Choose an image instead.",
};

export class Camera {
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {"user" | "environment"} */
  #facing = matchMedia("(pointer: coarse)").matches ? "environment" : "user";
  #busy = false;
  /** While this is set, no frames are taken, and the video goes on. */
  held = false;
  #run = 0;
  #onFrame;

  /** @param {(frame: ImageBitmap) => Promise<void>} onFrame the next frame is taken when it is done */
  constructor(onFrame) {
    this.#onFrame = onFrame;
    document.addEventListener("visibilitychange", () => {
      if (!this.#stream) return;
      // Disabled tracks send nothing, and most systems put the camera's light out.
      for (const track of this.#stream.getTracks()) track.enabled = !document.hidden;
      if (document.hidden) video.pause();
      else void video.play().catch(() => {});
    });
  }

  get running() {
    return this.#stream !== null;
  }

  /** @param {() => void} onEnd when the camera goes away by itself @returns {Promise<{ mirrored: boolean }>} */
  async start(onEnd) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser gives no camera to this page: it needs https or localhost. Choose an image instead.");
    }
    this.stop();
    const run = this.#run;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { ...SIZE, facingMode: this.#facing } });
      if (run !== this.#run) {
        for (const track of stream.getTracks()) track.stop();
        throw new DOMException("", "AbortError");
      }
      this.#stream = stream;
      video.srcObject = stream;
      await video.play();
      const [track] = stream.getVideoTracks();
      track.addEventListener("ended", onEnd);
      this.#next(run);
      // Desktop cameras do not say where they look; they look at the person in front.
      return { mirrored: (track.getSettings().facingMode ?? this.#facing) === "user" };
    } catch (error) {
      const name = error instanceof DOMException ? error.name : "";
      if (name !== "AbortError") this.stop();
      throw new Error(REASONS[name] ?? `The camera did not start (${error instanceof Error ? error.message || name : error}). Choose an image instead.`);
    }
  }

  /** @param {() => void} onEnd */
  async flip(onEnd) {
    this.#facing = this.#facing === "user" ? "environment" : "user";
    return this.start(onEnd);
  }

  /** Whether there is another camera to switch to. */
  async hasSeveral() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput").length > 1;
  }

  stop() {
    this.#run += 1;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    video.srcObject = null;
  }

  /** Waits for the next picture of the video; frames that come while one is being classified are let go. @param {number} run */
  #next(run) {
    if (run !== this.#run) return;
    const take = () => void this.#take(run);
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(take);
    else requestAnimationFrame(take);
  }

  /** @param {number} run */
  async #take(run) {
    if (run !== this.#run) return;
    if (!this.#busy && !this.held && !document.hidden && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
      this.#busy = true;
      try {
        await this.#onFrame(await createImageBitmap(video));
      } catch {
        // A frame that cannot be read, as while cameras are switched, is left out; onFrame reports its own errors.
      } finally {
        this.#busy = false;
      }
    }
    this.#next(run);
  }
}
