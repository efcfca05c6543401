import { AutoglmError, isAutoglmError } from '../base/errors.ts';
import { DEFAULT_HELPER_URL, type HelperHealth, type HelperModelFacts } from '../protocol/helper-http.ts';
import type { BackendReason, EngineInfo } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import { helperLinks } from './helper-links.ts';
import { handOverModel } from './hand-over-model.ts';
import { HttpConnection, HttpEngine } from './http-engine.ts';
import { explainLocalFailure, localRequestInit, queryLocalPermission } from './local-network.ts';

const POLL_MS = 500;

/**
 * Opens the linked helper for a page's model. The helper loads the model where it has it not, from what the page
 * hands over.
 *
 * @throws AutoglmError `helper-unlinked` while the user has not linked this page, `helper-unreachable` when no
 *   helper runs, `helper-blocked` when the browser does not let the page reach it, or a fault of the model
 */
export async function openHelperEngine(options: EngineOptions, reason: BackendReason): Promise<HttpEngine> {
  const { helperUrl: url = DEFAULT_HELPER_URL, signal, onProgress } = options;
  const token = options.helperToken ?? helperLinks.get(url)?.token;
  if (token === undefined) throw unlinked(url, 'This page is not linked with the helper.');
  const permission = await queryLocalPermission(url);
  if (permission === 'denied') throw blocked(url, explainLocalFailure(permission));
  if (permission === 'prompt') await options.onLocalPrompt?.();
  onProgress?.({ phase: 'checking', loadedBytes: 0, totalBytes: 0, bytesPerSecond: 0 });
  const connection = new HttpConnection({ face: 'helper', url, token });
  const health = await firstContact(connection, url, signal);
  const facts = isModel(health.model, options) ? health.model : await handOverModel(connection, options);
  onProgress?.({ phase: 'ready', loadedBytes: 1, totalBytes: 1, bytesPerSecond: 0 });
  return new HttpEngine(connection, toInfo(facts, reason));
}

/** Opens any other OpenAI-compatible server; `model` is the name that it serves the model by. */
export async function openRemoteEngine(options: EngineOptions): Promise<HttpEngine> {
  const { helperUrl: url = '', apiKey, model, signal } = options;
  const connection = new HttpConnection({ face: 'remote', url, token: apiKey });
  const models = await connection.listModels(signal);
  const listed = models.find(({ id }) => id === model);
  if (listed === undefined) {
    throw new AutoglmError('model-unknown', `${url} does not serve the model "${String(model)}".`, {
      value: model,
      limit: models.map(({ id }) => id).join(', '),
      cure: 'Give the name that the server lists.',
    });
  }
  return new HttpEngine(connection, {
    model: listed.id,
    backend: 'remote',
    adapter: new URL(url).host,
    isSoftware: false,
    contextWindow: listed.max_model_len ?? DEFAULT_REMOTE_CONTEXT,
    gpuBytes: 0,
    quantization: '',
    reason: { code: 'asked-for', text: 'The page names this server.' },
  });
}

/** What AutoGLM-Phone-9B is officially served with, for servers that do not tell. */
const DEFAULT_REMOTE_CONTEXT = 25_480;

/** Waits until a helper that was there answers again with a model, or the signal fires. */
export async function waitForHelper(options: EngineOptions, signal: AbortSignal): Promise<HttpEngine> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await openHelperEngine(
        { ...options, signal, onLocalPrompt: undefined, onProgress: undefined },
        { code: 'helper-back', text: 'The helper came back.' },
      );
    } catch (error) {
      if (!isAutoglmError(error, 'helper-unreachable')) throw error;
    }
    await delay(POLL_MS, signal);
  }
}

/** The helper's own word on what it runs, once it has loaded. */
async function firstContact(
  connection: HttpConnection,
  url: string,
  signal: AbortSignal | undefined,
): Promise<HelperHealth> {
  for (;;) {
    const health = await getHealth(connection, url, signal);
    if (health.status === 'stopping') throw connection.unreachable('is being stopped');
    // Only an answer to a valid token tells of the model.
    if (health.running === undefined) throw unlinked(url, 'The helper does not know the token of this page.');
    if (health.model === undefined && health.status !== 'loading' && health.status !== 'empty') {
      throw new AutoglmError('internal', `The helper has no model. ${health.fault ?? ''}`, {
        cure: 'Start it again with a model that loads.',
      });
    }
    if (health.status !== 'loading') return health;
    await delay(POLL_MS, signal);
  }
}

async function getHealth(
  connection: HttpConnection,
  url: string,
  signal: AbortSignal | undefined,
): Promise<HelperHealth> {
  try {
    return (await connection.getJson('/health', signal)) as HelperHealth;
  } catch (error) {
    if (!isAutoglmError(error, 'helper-unreachable')) throw error;
    // A helper that refuses an origin says so without CORS, which looks like no helper at all. Its being there shows.
    if (await isAlive(connection.url)) throw unlinked(url, 'The helper does not know this page any more.');
    const explanation = explainLocalFailure(await queryLocalPermission(url));
    throw explanation === undefined ? error : blockedOrGone(error, explanation);
  }
}

async function isAlive(url: string): Promise<boolean> {
  try {
    await fetch(`${url}/health`, { ...localRequestInit(url), mode: 'no-cors', cache: 'no-store' });
    return true;
  } catch {
    return false;
  }
}

function isModel(facts: HelperModelFacts | undefined, { model }: EngineOptions): facts is HelperModelFacts {
  return facts !== undefined && (typeof model !== 'string' || facts.id === modelNameOf(model));
}

/** Last part of a model's address, which is the name that it goes by everywhere. */
export function modelNameOf(model: string): string {
  return new URL(model, 'http://page').pathname.replace(/\/+$/, '').split('/').at(-1) ?? '';
}

function toInfo(facts: HelperModelFacts, reason: BackendReason): EngineInfo {
  const { id, adapter, isSoftware, contextWindow, gpuBytes, quantization } = facts;
  return { model: id, backend: 'helper', adapter, isSoftware, contextWindow, gpuBytes, quantization, reason };
}

function unlinked(url: string, message: string): AutoglmError {
  return new AutoglmError('helper-unlinked', message, {
    value: url,
    cure: 'Start it with "autoglm serve" and link it.',
  });
}

function blocked(url: string, explanation: string | undefined): AutoglmError {
  return new AutoglmError('helper-blocked', `This page cannot reach the helper at ${url}.`, {
    value: url,
    ...(explanation !== undefined && { cure: explanation }),
  });
}

/** Firefox and Safari do not tell whether they blocked or nobody answered: the message has both. */
function blockedOrGone(error: AutoglmError, explanation: string): AutoglmError {
  return new AutoglmError(error.code, error.message, { value: error.value, cure: explanation, cause: error });
}

function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(resolve), ms);
    const onAbort = (): void => settle(() => reject(signal?.reason as Error));
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      act();
    };
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
