/**
 * Keeps the app's own files, so that it opens without a network; weights are kept by the engine.
 *
 * A version is one cache, filled as a whole before it is used. The version before it is kept as well: pages that are
 * open while another one updates still find their scripts.
 */
import { keepIncoming } from './incoming-files.ts';
import { SKIP_WAITING } from './update-messages.ts';

interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

/** The part of a service worker's scope that is used: TypeScript's own types for it exclude those of pages. */
interface ServiceWorkerScope {
  readonly __WB_MANIFEST: readonly { readonly url: string; readonly revision: string | null }[];
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
}

declare const self: ServiceWorkerScope;

const FILES = self.__WB_MANIFEST;
const PREFIX = 'autoglm-app-';
const CACHE = `${PREFIX}${hashText(JSON.stringify(FILES))}`;
const { scope } = self.registration;

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('message', ({ data }) => {
  if (data === SKIP_WAITING) void self.skipWaiting();
});
self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (!url.href.startsWith(scope)) return;
  if (request.method === 'POST' && url.pathname.endsWith('/share')) event.respondWith(takeShare(request));
  else if (request.method === 'GET' && !url.pathname.endsWith('.bin'))
    event.respondWith(answer(request, url));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.all(
    FILES.map(async ({ url, revision }) => {
      const address = new URL(url, scope).href;
      // A name with a hash in it means the same bytes for ever.
      const kept = revision === null ? await caches.match(address) : undefined;
      const response = kept ?? (await fetch(address, { cache: 'reload' }));
      if (!response.ok) throw new Error(`${address} answered ${response.status}.`);
      await cache.put(address, response);
    }),
  );
}

async function activate(): Promise<void> {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(names.slice(0, -1).map((name) => caches.delete(name)));
  // Only the first version: a page of an older one keeps it until it is loaded again.
  if (names.length === 0) await self.clients.claim();
}

async function answer(request: Request, url: URL): Promise<Response> {
  const cache = await caches.open(CACHE);
  const page = url.pathname.endsWith('/')
    ? `${url.origin}${url.pathname}index.html`
    : url.origin + url.pathname;
  const isPage = request.mode === 'navigate';
  const kept =
    (await cache.match(isPage ? page : request, { ignoreSearch: isPage })) ?? (await caches.match(request));
  return kept ?? fetch(request);
}

/** Screenshots that another app shares: the page takes them when it has opened. */
async function takeShare(request: Request): Promise<Response> {
  const form = await request.formData();
  const files = form.getAll('images').filter((value) => value instanceof File);
  const words = ['title', 'text', 'url'].map((name) => form.get(name));
  const text = words.filter((value) => typeof value === 'string' && value !== '').join(' ');
  await keepIncoming({ text, files });
  return Response.redirect(new URL('./?shared', scope).href, 303);
}

/** FNV-1a: names a version, protects nothing. */
function hashText(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash.toString(36);
}
