import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
};

/** A folder as a plain host or a CDN serves it: types by name, and any page may read. */
export interface FolderServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves a folder on a free port, or on the one named.
 *
 * @param folderOf asked for every request, so that a server can be given another version of its files.
 */
export async function serveFolder(folderOf: string | (() => string), port = 0): Promise<FolderServer> {
  const server = createServer((request, response) => {
    const folder = typeof folderOf === 'string' ? folderOf : folderOf();
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://host').pathname);
    const asked = join(folder, normalize(path));
    const file = existsSync(asked) && statSync(asked).isDirectory() ? join(asked, 'index.html') : asked;
    if (!file.startsWith(folder) || !existsSync(file)) {
      response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
      return;
    }
    response.writeHead(200, {
      'access-control-allow-origin': '*',
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-length': statSync(file).size,
    });
    if (request.method === 'HEAD') response.end();
    else createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
