// Files to pixels, as the file has them.

/** No colour management and no premultiplied alpha: the network was taught with the numbers in the file. @type {ImageBitmapOptions} */
const AS_IT_IS = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" };

/** @param {Blob} blob @param {string} name @returns {Promise<ImageBitmap>} */
export async function decode(blob, name) {
  for (const attempt of [() => createImageBitmap(blob, AS_IT_IS), () => createImageBitmap(blob)]) {
    try {
      return await attempt();
    } catch {
      // The second attempt is for browsers that do not know an option.
    }
  }
  throw new Error(`${name}: not an image this browser can read (JPEG, PNG, WebP, GIF, …)`);
}
