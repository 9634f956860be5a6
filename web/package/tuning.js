// Where the fastest kernels of this device are remembered: a database of the browser. doconv.js imports this file.

const DATABASE = "doconv";
const STORE = "tuning";
const KEY = "choices";

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} action
 * @returns {Promise<T>}
 */
function inStore(mode, action) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const request = action(database.transaction(STORE, mode).objectStore(STORE));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
      request.transaction?.addEventListener("complete", () => database.close());
    };
  });
}

/**
 * What was remembered, as JSON. In private windows and the like nothing is, which is no reason not to work.
 * @returns {Promise<string | null>}
 */
export async function storedTuning() {
  try {
    return (await inStore("readonly", (store) => store.get(KEY))) ?? null;
  } catch {
    return null;
  }
}

/** @param {string} json */
export async function keepTuning(json) {
  try {
    await inStore("readwrite", (store) => store.put(json, KEY));
  } catch (error) {
    console.warn("doconv: the fastest kernels cannot be remembered here:", error);
  }
}
