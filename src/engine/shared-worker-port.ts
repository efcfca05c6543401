import type { SharedWorkerGreeting, SharedWorkerJoin } from '../protocol/shared-worker.ts';
import { TrustedSharedWorker as SharedWorker } from './trusted-worker.ts';

/** What an engine's page needs of a worker, its own or a shared one. */
export interface EngineWorker {
  postMessage(message: unknown): void;
  addEventListener(type: 'message' | 'messageerror', listener: (event: MessageEvent) => void): void;
  addEventListener(type: 'error', listener: (event: { readonly message: string }) => void): void;
  /** Ends the worker, or leaves it to the other pages. */
  terminate(): void;
}

/** How long a worker may take to say whether it has WebGPU: its script may have to be fetched first. */
const GREETING_MS = 15_000;

/** Joins the shared worker of the origin; undefined where there is none that has WebGPU. */
export async function joinSharedWorker(): Promise<EngineWorker | undefined> {
  if (!('SharedWorker' in globalThis) || !navigator.locks) return undefined;
  let worker: globalThis.SharedWorker;
  try {
    // A URL by itself, so that bundlers find the worker and put it beside the module.
    worker = new SharedWorker(new URL('../worker/shared-engine-worker.ts', import.meta.url), {
      type: 'module',
      name: 'autoglm-engines',
    });
  } catch {
    return undefined;
  }
  const greeting = await receiveGreeting(worker);
  if (!greeting?.isCapable) {
    worker.port.close();
    return undefined;
  }
  const pageLock = `autoglm-page-${crypto.randomUUID()}`;
  const release = await holdLock(pageLock);
  const join: SharedWorkerJoin = { type: 'join', pageLock };
  worker.port.postMessage(join);
  return new SharedWorkerPort(worker, greeting.workerLock, release);
}

function receiveGreeting(worker: globalThis.SharedWorker): Promise<SharedWorkerGreeting | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), GREETING_MS);
    const finish = (greeting: SharedWorkerGreeting | undefined): void => {
      clearTimeout(timer);
      resolve(greeting);
    };
    worker.addEventListener('error', () => finish(undefined), { once: true });
    const onMessage = ({ data }: MessageEvent<SharedWorkerGreeting>): void => finish(data);
    worker.port.addEventListener('message', onMessage, { once: true });
    worker.port.start();
  });
}

/** Takes a lock that nobody else knows; the function that comes back lets go of it. */
function holdLock(name: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    navigator.locks.request(name, () => new Promise<void>((release) => resolve(release))).catch(reject);
  });
}

/** This page's end of the shared worker. */
class SharedWorkerPort implements EngineWorker {
  readonly #port: MessagePort;
  readonly #release: () => void;
  readonly #leaving = new AbortController();
  readonly #onError = new Set<(event: { readonly message: string }) => void>();

  constructor(worker: globalThis.SharedWorker, workerLock: string, release: () => void) {
    this.#port = worker.port;
    this.#release = release;
    const { signal } = this.#leaving;
    const fail = (message: string): void => this.#onError.forEach((listener) => listener({ message }));
    worker.addEventListener('error', () => fail('its script failed'), { signal });
    navigator.locks.request(workerLock, { mode: 'shared', signal }, () => fail('it ended')).catch(() => {});
  }

  postMessage(message: unknown): void {
    // oxlint-disable-next-line require-post-message-target-origin -- a port has no such argument.
    this.#port.postMessage(message);
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    if (type === 'error') this.#onError.add(listener as (event: { readonly message: string }) => void);
    else this.#port.addEventListener(type as 'message', listener as (event: MessageEvent) => void);
  }

  terminate(): void {
    if (this.#leaving.signal.aborted) return;
    this.#leaving.abort();
    this.#port.close();
    this.#release();
  }
}
