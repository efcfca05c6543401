/** The script of a shared worker that hosts engines for all pages of an origin; see `src/protocol/shared-worker.ts`. */
import { openBrowserEngine } from '../engine/open-browser-engine.ts';
import type { SharedWorkerGreeting, SharedWorkerJoin } from '../protocol/shared-worker.ts';
import type { WorkerRequest, WorkerResponse } from '../protocol/worker-messages.ts';
import { EngineHost } from './engine-host.ts';
import { EngineRegistry } from './engine-registry.ts';

const registry = new EngineRegistry(openBrowserEngine);
const lockName = `autoglm-engines-${crypto.randomUUID()}`;

/** Held as long as the worker lives: pages that wait for it learn of its end. */
const whenLocked = new Promise<void>((resolve) => {
  void navigator.locks?.request(lockName, () => {
    resolve();
    return new Promise(() => {});
  });
});

/** A software adapter counts as well: what matters is that this kind of worker gets one. */
const whenCapable: Promise<boolean> = (async () => {
  if (!navigator.gpu || !navigator.locks) return false;
  const adapter = await navigator.gpu.requestAdapter();
  await whenLocked;
  return adapter !== null;
})().catch(() => false);

function serve(port: MessagePort): void {
  const host = new EngineHost(
    (options) => registry.open(options),
    (message: WorkerResponse) => port.postMessage(message),
  );
  port.addEventListener('message', ({ data }: MessageEvent<SharedWorkerJoin | WorkerRequest>) => {
    if (data.type !== 'join') return void host.receive(data);
    // Granted when the page is gone, however it went.
    void navigator.locks.request(data.pageLock, () => host.close());
  });
  port.start();
  void whenCapable.then((isCapable) => {
    const greeting: SharedWorkerGreeting = { type: 'greeting', isCapable, workerLock: lockName };
    port.postMessage(greeting);
  });
}

self.addEventListener('connect', (event) => {
  for (const port of (event as MessageEvent).ports) serve(port);
});
