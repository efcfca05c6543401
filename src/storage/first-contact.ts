import { AutoglmError } from '../base/errors.ts';
import { HttpConnection, type HttpSettings } from './http-connection.ts';
import { StalledFault, TransientFault } from './transient-fault.ts';

/** A connection and the head of its answer. */
export interface OpenedConnection {
  readonly connection: HttpConnection;
  readonly response: Response;
}

/**
 * Opens a URL that has not answered before, and tells a server that forbids pages to read it from a network
 * that is down: both reject `fetch` alike, but a `no-cors` request succeeds in the first case only. Asked
 * twice, so that one reset connection does not pass for a refusal.
 *
 * @throws AutoglmError `cors`; TransientFault when no answer comes.
 */
export async function openFirstContact(
  url: string,
  settings: HttpSettings,
  signal: AbortSignal | undefined,
  init: RequestInit,
): Promise<OpenedConnection> {
  try {
    return await openConnection(url, settings, signal, init);
  } catch (fault) {
    if (!(await isRefusal(fault, url, signal))) throw fault;
  }
  try {
    return await openConnection(url, settings, signal, init);
  } catch (fault) {
    if (!(await isRefusal(fault, url, signal))) throw fault;
    throw forbidden(url);
  }
}

/** Opens a URL once. @throws TransientFault when no answer comes. */
export async function openConnection(
  url: string,
  settings: HttpSettings,
  signal: AbortSignal | undefined,
  init: RequestInit,
): Promise<OpenedConnection> {
  const connection = new HttpConnection(url, settings, signal);
  return { connection, response: await connection.open(init) };
}

/** True in a page or worker for a URL of another origin; Node knows no origins. */
export function isCrossOrigin(url: string): boolean {
  return globalThis.location !== undefined && new URL(url).origin !== globalThis.location.origin;
}

async function isRefusal(fault: unknown, url: string, signal: AbortSignal | undefined): Promise<boolean> {
  if (!(fault instanceof TransientFault) || fault instanceof StalledFault) return false;
  return isReachable(url, signal);
}

async function isReachable(url: string, signal: AbortSignal | undefined): Promise<boolean> {
  if (!isCrossOrigin(url)) return false;
  try {
    const patience = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    await fetch(url, {
      method: 'HEAD',
      mode: 'no-cors',
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    return true;
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}

function forbidden(url: string): AutoglmError {
  const { origin, host } = new URL(url);
  return new AutoglmError(
    'cors',
    `The server ${host} does not let pages of ${location.origin} read ${url}.`,
    {
      value: origin,
      limit: 'Access-Control-Allow-Origin',
      cure: 'Serve the model folder with "Access-Control-Allow-Origin: *", or from the page\'s own origin.',
    },
  );
}

const PROBE_TIMEOUT_MS = 10_000;
