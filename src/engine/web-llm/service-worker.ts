import type { ChatOptions, MLCEngineConfig } from '@mlc-ai/web-llm';
import { AutoglmError } from '../../base/errors.ts';
import { MLCEngine } from './mlc-engine.ts';
// Not later: a service worker may import nothing after its start.
import { openEngineHere } from './open-here.ts';
import { WebWorkerMLCEngine, type ChatWorker } from './worker-client.ts';
import {
  WebWorkerMLCEngineHandler,
  type MlcWorkerRequest,
  type MlcWorkerResponse,
} from './worker-handler.ts';

/** What of a service worker's message event is used; the types of pages do not have it. */
interface ClientMessage {
  readonly data: MlcWorkerRequest;
  readonly source: { postMessage(message: MlcWorkerResponse): void } | null;
  waitUntil?(promise: Promise<unknown>): void;
}

/** Signs of life are sent so often that the browser keeps the service worker. */
const KEEP_ALIVE_MS = 10_000;

/** The service worker's end: it listens by itself from its construction on. Several pages may use it. */
export class ServiceWorkerMLCEngineHandler extends WebWorkerMLCEngineHandler {
  readonly #clients = new Map<string, NonNullable<ClientMessage['source']>>();
  /** Who asked for the load that is under way. */
  #loader: NonNullable<ClientMessage['source']> | undefined;

  constructor() {
    super(MLCEngine.withOpener(openEngineHere));
    self.addEventListener('message', (event) => this.onmessage(event));
  }

  override postMessage(message: MlcWorkerResponse): void {
    const client = message.kind === 'initProgressCallback' ? this.#loader : this.#clients.get(message.uuid);
    client?.postMessage(message);
    this.#clients.delete(message.uuid);
  }

  override onmessage(event: unknown): void {
    const { data, source, waitUntil } = event as ClientMessage;
    if (typeof data?.kind !== 'string' || !source) return;
    this.#clients.set(data.uuid, source);
    if (data.kind === 'keepAlive') {
      this.postMessage({ kind: 'heartbeat', uuid: data.uuid });
      return;
    }
    if (data.kind === 'reload') this.#loader = source;
    const done = new Promise<void>((resolve) => {
      super.onmessage(data, () => resolve(), resolve);
    });
    waitUntil?.call(event, done);
  }
}

/** An engine whose handler runs in the page's service worker. */
export class ServiceWorkerMLCEngine extends WebWorkerMLCEngine {
  /** Signs of life in a row that the service worker did not answer. */
  missedHeartbeat = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(engineConfig?: MLCEngineConfig, keepAliveMs = KEEP_ALIVE_MS) {
    super(new ServiceWorkerPort(), engineConfig);
    this.#timer = setInterval(() => {
      this.worker.postMessage({ kind: 'keepAlive', uuid: crypto.randomUUID() });
      this.missedHeartbeat++;
    }, keepAliveMs);
  }

  override onmessage(event: MessageEvent<MlcWorkerResponse>): void {
    if (event.data.kind === 'heartbeat') this.missedHeartbeat = 0;
    else super.onmessage(event);
  }

  override async unload(): Promise<void> {
    clearInterval(this.#timer);
    await super.unload();
  }
}

/**
 * The page's service worker as a worker: the one that controls the page, or else the one that becomes ready for it, as
 * on a first visit. Messages wait for it.
 */
class ServiceWorkerPort implements ChatWorker {
  onmessage: ChatWorker['onmessage'] = null;
  readonly #worker: Promise<ServiceWorker | null>;

  constructor() {
    navigator.serviceWorker.addEventListener('message', (event: MessageEvent<MlcWorkerResponse>) =>
      this.onmessage?.(event),
    );
    const { controller, ready } = navigator.serviceWorker;
    this.#worker = controller ? Promise.resolve(controller) : ready.then(({ active }) => active);
  }

  postMessage(message: MlcWorkerRequest): void {
    void this.#worker.then((worker) => worker?.postMessage(message));
  }
}

/** Creates an engine in the page's service worker and loads a model: web-llm's function of this name. */
export async function CreateServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ServiceWorkerMLCEngine> {
  if (!('serviceWorker' in navigator)) {
    throw new AutoglmError('request-invalid', 'This page can have no service worker.', {
      cure: 'Serve it from https or localhost.',
    });
  }
  const engine = new ServiceWorkerMLCEngine(engineConfig, keepAliveMs);
  await engine.reload(modelId, chatOpts);
  return engine;
}
