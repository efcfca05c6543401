import { readFile, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AutoglmError } from '../base/errors.ts';
import type { LoadProgress } from '../engine/engine.ts';
import { DEFAULT_HELPER_PORT } from '../protocol/helper-http.ts';
import { ClientRegistry, createToken } from './client-registry.ts';
import { ModelHost, type HostedModel } from './model-host.ts';
import { fingerprintOf, OfferedModels } from './offered-models.ts';
import type { DeviceChoice } from './open-device.ts';
import { openHelperEngine, type HelperEngineOptions } from './open-engine.ts';
import { PairingCode } from './pairing-code.ts';
import { writePrivateFile } from './private-file.ts';
import { createHelperServer, DEFAULT_LIMITS } from './server.ts';
import { modelCacheFolder } from './user-folders.ts';

/** How to run the helper. */
export interface ServeOptions {
  /** A folder or URL; without it the helper waits for a page to hand a model over. */
  readonly model?: string | undefined;
  readonly port?: number | undefined;
  /** Address to listen on; 127.0.0.1. Anything else lets other machines in. */
  readonly address?: string | undefined;
  /** Names by which other machines call this one. */
  readonly hostNames?: readonly string[] | undefined;
  readonly device: DeviceChoice;
  readonly contextWindow?: number | undefined;
  readonly cacheFormat?: HelperEngineOptions['cacheFormat'];
  /** Answers written at once; 8. */
  readonly parallel?: number | undefined;
  /** Requests that may wait; 64. */
  readonly waiting?: number | undefined;
  readonly configFolder: string;
  readonly cacheFolder: string;
  /** Ends the helper. */
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly onEvent: (event: ServeEvent) => void;
  readonly log?: { write(line: string): void } | undefined;
}

/** What the terminal shows. */
export type ServeEvent =
  | { readonly type: 'listening'; readonly url: string; readonly code: string; readonly key: string }
  | { readonly type: 'ready'; readonly model: string; readonly adapter: string; readonly reason: string }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'code'; readonly code: string }
  | { readonly type: 'linked'; readonly origin: string }
  | { readonly type: 'stopping'; readonly answers: number };

/** Where a running helper is; kept in the user's folder for `autoglm pair`. */
export interface RunningHelper {
  readonly pid: number;
  readonly url: string;
  readonly code: string;
}

/** How long answers may go on when the helper is told to stop. */
const GRACE_MS = 10_000;
/** Loads again after a lost device, then it gives up. */
const MOST_RELOADS = 3;

/**
 * Runs the helper until the signal fires, then ends it: answers that run get ten seconds.
 *
 * @throws AutoglmError when the port is taken or the model that was named does not load
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { signal, onEvent, configFolder, cacheFolder } = options;
  signal.throwIfAborted();
  const registry = new ClientRegistry(configFolder);
  const runningPath = runningFile(configFolder);
  let url = '';
  const note = (code: string): void =>
    writePrivateFile(runningPath, JSON.stringify({ pid: process.pid, url, code } satisfies RunningHelper));
  const pairing = new PairingCode((code) => {
    note(code);
    onEvent({ type: 'code', code });
  });
  const host: ModelHost = new ModelHost(
    (model, loadSignal) => openModel(model, loadSignal, options, host),
    ({ engine: { info }, reason = '' }) =>
      onEvent({ type: 'ready', model: info.model, adapter: info.adapter, reason }),
  );
  const sessionKey = createToken();
  const server = createHelperServer({
    host,
    registry,
    pairing,
    offered: new OfferedModels(cacheFolder),
    sessionKey,
    hostNames: options.hostNames ?? [],
    isModelFixed: options.model !== undefined,
    limits: {
      running: options.parallel ?? DEFAULT_LIMITS.running,
      waiting: options.waiting ?? DEFAULT_LIMITS.waiting,
    },
    onLinked: (origin) => onEvent({ type: 'linked', origin }),
    log: options.log,
  });
  try {
    const port = await listen(server.listen, options);
    url = `http://127.0.0.1:${port}`;
    note(pairing.current);
    onEvent({ type: 'listening', url, code: pairing.current, key: sessionKey });
    if (options.model !== undefined) await host.load(options.model);
    await aborted(signal);
  } catch (error) {
    // A signal during the load ends it as it ends everything else.
    if (!signal.aborted) throw error;
  } finally {
    await server.close(GRACE_MS);
    await host.close();
    await rm(runningPath, { force: true });
  }
}

/** The helper that runs with this folder now, if one does. */
export function findRunningHelper(configFolder: string): RunningHelper | undefined {
  try {
    const running = JSON.parse(readFileSync(runningFile(configFolder), 'utf8')) as RunningHelper;
    // Signal 0 asks only whether the process is there.
    process.kill(running.pid, 0);
    return running;
  } catch {
    return undefined;
  }
}

async function openModel(
  model: string,
  loadSignal: AbortSignal,
  options: ServeOptions,
  host: ModelHost,
): Promise<HostedModel> {
  const { device, contextWindow, cacheFormat, parallel, onProgress, signal } = options;
  const { engine, reason } = await openHelperEngine({
    cacheFolder: modelCacheFolder(),
    model,
    backend: device,
    contextWindow,
    cacheFormat,
    slots: parallel ?? DEFAULT_LIMITS.running,
    signal: AbortSignal.any([signal, loadSignal]),
    onProgress,
  });
  void reloadWhenLost(engine.lost, model, options, host);
  return { engine, reason, fingerprint: await readFingerprint(model) };
}

const reloads = new WeakMap<ModelHost, number>();

/** A GPU comes back after a driver restart; the model is loaded anew. */
async function reloadWhenLost(
  lost: Promise<AutoglmError>,
  model: string,
  { onEvent, signal }: ServeOptions,
  host: ModelHost,
): Promise<void> {
  const fault = await lost;
  if (signal.aborted || host.status !== 'ready') return;
  onEvent({ type: 'failed', message: fault.message });
  host.fail(fault.message);
  const count = (reloads.get(host) ?? 0) + 1;
  reloads.set(host, count);
  if (count > MOST_RELOADS) return;
  await host.load(model).catch((error: Error) => onEvent({ type: 'failed', message: error.message }));
}

async function readFingerprint(model: string): Promise<string | undefined> {
  try {
    const text = /^https?:/.test(model)
      ? await (await fetch(new URL('tensor-cache.json', model.replace(/\/?$/, '/')))).text()
      : await readFile(join(model, 'tensor-cache.json'), 'utf8');
    return fingerprintOf(text);
  } catch {
    // Only a page that wants to be sure of the very same weights needs it.
    return undefined;
  }
}

async function listen(
  start: (port: number, address?: string) => Promise<number>,
  { port = DEFAULT_HELPER_PORT, address = '127.0.0.1' }: ServeOptions,
): Promise<number> {
  try {
    return await start(port, address);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new AutoglmError('port-unavailable', `Cannot listen on ${address}:${port}: ${code}.`, {
      value: port,
      limit: 'a free port',
      cure: 'Stop what uses it, or choose another with --port.',
      cause,
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function runningFile(folder: string): string {
  return join(folder, 'running.json');
}
