/** Files and words on their way into the composer: shared by another app, or kept over a reload of the page. */

/** What the composer should hold. */
export interface Incoming {
  readonly text: string;
  readonly files: readonly File[];
}

const CACHE = 'autoglm-incoming';
const NAME_HEADER = 'x-file-name';

/** Keeps them until the next page of the app takes them. Used by the service worker and by pages. */
export async function keepIncoming({ text, files }: Incoming): Promise<void> {
  const cache = await caches.open(CACHE);
  if (text !== '') await cache.put('incoming/text', new Response(text));
  for (const [index, file] of files.entries()) {
    const headers = { 'content-type': file.type, [NAME_HEADER]: encodeURIComponent(file.name) };
    await cache.put(`incoming/${Date.now()}-${index}`, new Response(file, { headers }));
  }
}

/** Takes what is there, oldest first; nothing is left. */
export async function takeIncoming(): Promise<Incoming> {
  const cache = await caches.open(CACHE);
  const files: File[] = [];
  let text = '';
  for (const request of await cache.keys()) {
    const response = await cache.match(request);
    await cache.delete(request);
    if (response === undefined) continue;
    const name = response.headers.get(NAME_HEADER);
    if (name === null) text = await response.text();
    else files.push(toFile(await response.blob(), decodeURIComponent(name)));
  }
  return { text, files };
}

function toFile(blob: Blob, name: string): File {
  return new File([blob], name, { type: blob.type });
}
