// Makes the page work offline, and start from cache. Nothing is stored but the list that the build made.
//
// A new version is fetched in the background and taken at the next visit, when no tab uses the old one any more.

/// <reference lib="webworker" />
importScripts("precache.js");

const worker = /** @type {ServiceWorkerGlobalScope & { VERSION: string, FILES: string[] }} */ (/** @type {unknown} */ (self));
const scope = worker.registration.scope;
/** Other pages of this origin have caches too. */
const PREFIX = `doconv ${scope} `;
const CACHE = PREFIX + worker.VERSION;
const START = new URL("index.html", scope).href;

/** All files, or the version is not installed. `no-cache` asks the server whether the browser's copy is still right. */
async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(worker.FILES.map((file) => new Request(new URL(file, scope), { cache: "no-cache" })));
}

async function removeOldVersions() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
}

/** @param {Request} request */
async function answer(request) {
  const cache = await caches.open(CACHE);
  const { origin, pathname } = new URL(request.url);
  const address = origin + pathname;
  const stored = await cache.match(address === scope ? START : address);
  return stored ?? fetch(request);
}

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(removeOldVersions()));
worker.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(scope)) event.respondWith(answer(event.request));
});
