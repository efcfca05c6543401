import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One way for the server to misbehave in one answer. */
export type Fault =
  /** Sends so many bytes of the body, then drops the connection. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Sends so many bytes of the body, then nothing, and keeps the connection. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  /** Behaves in every way as if the file were shorter. */
  | { readonly kind: 'truncate'; readonly byteLength: number }
  /** Inverts the lowest bit of one byte of the file. */
  | { readonly kind: 'flip'; readonly offset: number }
  /** Lies about the length of the body. */
  | { readonly kind: 'content-length'; readonly byteLength: number }
  /** Answers 200 and the whole file to a Range. */
  | { readonly kind: 'ignore-range' }
  | { readonly kind: 'redirect'; readonly path: string }
  | { readonly kind: 'html' }
  /** Sends no header that lets another origin read. */
  | { readonly kind: 'no-cors' }
  /** Serves other bytes under another entity tag. */
  | { readonly kind: 'replace'; readonly bytes: Uint8Array }
  /** Waits before each 64 KiB, so that a download takes a while. */
  | { readonly kind: 'slow'; readonly millisecondsPerChunk: number };

/** One request as the server saw it. */
export interface ServedRequest {
  readonly path: string;
  /** How many requests of this method for this path came before. */
  readonly attempt: number;
  /** First byte asked for; 0 without Range. */
  readonly start: number;
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  status: number;
  /** Bytes of the body that were handed to the socket. */
  sentBytes: number;
}

/** Decides how to misbehave; called before each answer. */
export type PlanFaults = (request: ServedRequest) => Fault | readonly Fault[] | undefined;

/** A real HTTP server over files in memory that misbehaves as told and counts what it sends. */
export interface FaultServer {
  /** Address of the folder, ending in a slash. */
  readonly url: string;
  readonly files: Map<string, Uint8Array>;
  readonly requests: readonly ServedRequest[];
  planFaults: PlanFaults;
  /** Bytes of bodies sent for a path, over all requests. */
  bytesServed(path: string): number;
  /** Forgets requests and counts. */
  clear(): void;
  close(): Promise<void>;
}

const CHUNK_BYTES = 64 * 1024;
const CUT_DELAY_MS = 30;

/** Starts the server on a free port of the loopback interface. */
export async function startFaultServer(files: ReadonlyMap<string, Uint8Array>): Promise<FaultServer> {
  const served = new Map(files);
  const requests: ServedRequest[] = [];
  const state: { planFaults: PlanFaults } = { planFaults: () => undefined };
  const server = createServer((request, response) => {
    void answer(request, response, served, requests, (seen) => state.planFaults(seen)).catch(() => {
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    files: served,
    requests,
    get planFaults() {
      return state.planFaults;
    },
    set planFaults(plan) {
      state.planFaults = plan;
    },
    bytesServed: (path) =>
      requests.reduce((total, seen) => total + (seen.path === path ? seen.sentBytes : 0), 0),
    clear: () => void requests.splice(0),
    close: () => closeServer(server),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  files: ReadonlyMap<string, Uint8Array>,
  requests: ServedRequest[],
  planFaults: PlanFaults,
): Promise<void> {
  const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/').slice(1);
  const seen: ServedRequest = {
    path,
    attempt: requests.filter((other) => other.path === path && other.method === request.method).length,
    start: Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0),
    method: request.method ?? 'GET',
    headers: request.headers,
    status: 0,
    sentBytes: 0,
  };
  requests.push(seen);
  const faults = [planFaults(seen) ?? []].flat();
  const find = <K extends Fault['kind']>(kind: K): Extract<Fault, { kind: K }> | undefined =>
    faults.find((fault): fault is Extract<Fault, { kind: K }> => fault.kind === kind);

  if (!find('no-cors')) {
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-allow-headers', 'range');
    response.setHeader('access-control-expose-headers', 'content-range, content-length, etag, retry-after');
  }
  const end = (status: number, body = ''): void => {
    seen.status = status;
    response.writeHead(status).end(body);
  };
  if (request.method === 'OPTIONS') return end(find('no-cors') ? 403 : 204);
  const status = find('status');
  if (status) {
    if (status.retryAfter !== undefined) response.setHeader('retry-after', status.retryAfter);
    return end(status.status);
  }
  const redirect = find('redirect');
  if (redirect) {
    response.setHeader('location', `/${redirect.path}`);
    return end(302);
  }
  if (find('html')) {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    return end(200, '<!doctype html><title>Sign in</title>');
  }
  let bytes = files.get(path);
  if (bytes === undefined) return end(404);
  bytes = find('replace')?.bytes ?? bytes;
  const truncate = find('truncate');
  if (truncate) bytes = bytes.subarray(0, truncate.byteLength);
  const flip = find('flip');
  if (flip) {
    bytes = bytes.slice();
    bytes[flip.offset] = (bytes[flip.offset] as number) ^ 1;
  }

  const entityTag = getEntityTag(bytes);
  response.setHeader('etag', entityTag);
  response.setHeader(
    'content-type',
    path.endsWith('.json') ? 'application/json' : 'application/octet-stream',
  );
  if (request.headers['if-none-match'] === entityTag) return end(304);
  const isRange = request.headers.range !== undefined && !find('ignore-range');
  const isFresh = request.headers['if-range'] === undefined || request.headers['if-range'] === entityTag;
  const start = isRange && isFresh ? seen.start : 0;
  if (start > 0 && start >= bytes.byteLength) {
    response.setHeader('content-range', `bytes */${bytes.byteLength}`);
    return end(416);
  }
  seen.status = isRange && isFresh ? 206 : 200;
  if (seen.status === 206) {
    response.setHeader('content-range', `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}`);
  }
  const body = bytes.subarray(start);
  response.setHeader('content-length', find('content-length')?.byteLength ?? body.byteLength);
  // A wrong length must go out as it is.
  response.strictContentLength = false;
  response.writeHead(seen.status);
  if (request.method === 'HEAD') return void response.end();
  const stopBytes = find('cut')?.afterBytes ?? find('stall')?.afterBytes ?? Infinity;
  await sendBody(response, body.subarray(0, Math.min(body.byteLength, stopBytes)), seen, find('slow'));
  if (find('stall') && stopBytes < body.byteLength) return;
  if (find('cut') && stopBytes < body.byteLength) {
    // As on a real line, the end comes after the bytes: Chromium throws away what it has not yet passed on.
    await new Promise((resolve) => setTimeout(resolve, CUT_DELAY_MS));
    return void response.socket?.destroySoon();
  }
  const promised = find('content-length');
  if (promised && promised.byteLength > body.byteLength) return void response.socket?.destroySoon();
  response.end();
}

const entityTags = new WeakMap<Uint8Array, string>();

function getEntityTag(bytes: Uint8Array): string {
  const known = entityTags.get(bytes);
  if (known !== undefined) return known;
  const entityTag = `"${createHash('sha1').update(bytes).digest('hex')}"`;
  entityTags.set(bytes, entityTag);
  return entityTag;
}

async function sendBody(
  response: ServerResponse,
  body: Uint8Array,
  seen: ServedRequest,
  slow: Extract<Fault, { kind: 'slow' }> | undefined,
): Promise<void> {
  for (let offset = 0; offset < body.byteLength; offset += CHUNK_BYTES) {
    if (slow) await new Promise((resolve) => setTimeout(resolve, slow.millisecondsPerChunk));
    if (response.destroyed) return;
    const chunk = body.subarray(offset, offset + CHUNK_BYTES);
    seen.sentBytes += chunk.byteLength;
    if (response.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        response.off('drain', done);
        response.off('close', done);
        resolve();
      };
      response.once('drain', done);
      response.once('close', done);
    });
  }
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
