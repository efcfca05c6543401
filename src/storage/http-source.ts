import { AutoglmError, isAutoglmError } from '../base/errors.ts';
import { openFirstContact } from './first-contact.ts';
import type { HttpConnection, HttpSettings } from './http-connection.ts';
import { HttpFileStream } from './http-file-stream.ts';
import { checkTextResponse } from './http-response.ts';
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from './retry-policy.ts';
import type { ReadOptions, ShardSource } from './shard-source.ts';
import { RetryBudget } from './transient-fault.ts';

/** How an HTTP source behaves on a bad network. */
export interface HttpSourceOptions {
  readonly retry?: Partial<RetryPolicy>;
  /** Longest silence, in milliseconds, before a connection is given up and the read resumed; 30,000. */
  readonly stallTimeoutMs?: number;
  /** Replaces the global `fetch`, for example to add an authorisation header. */
  readonly fetch?: typeof fetch;
}

/**
 * A model folder at an http(s) URL; relative URLs resolve against the page. A Hugging Face repository page
 * (`https://huggingface.co/owner/name`) stands for the files of its main branch.
 *
 * @throws AutoglmError `request-invalid` when the address is no http(s) URL.
 */
export function createHttpSource(address: string, options: HttpSourceOptions = {}): ShardSource {
  const baseUrl = toFolderUrl(address);
  const policy = { ...DEFAULT_RETRY_POLICY, ...options.retry };
  const settings: HttpSettings = {
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    stallTimeoutMs: options.stallTimeoutMs ?? 30_000,
  };
  const readText = (path: string, readOptions: ReadOptions = {}): Promise<string> =>
    readWholeText(
      toFileUrl(baseUrl, path),
      settings,
      new RetryBudget(readOptions.isOptional ? { ...policy, maxFailures: 1 } : policy, readOptions.signal),
      readOptions,
    );
  return {
    label: baseUrl.href,
    id: baseUrl.href,
    isRemote: true,
    readText,
    readOptionalText: (path, readOptions) => undefinedIfMissing(readText(path, readOptions)),
    openFile: (path, openOptions = {}) =>
      new HttpFileStream(toFileUrl(baseUrl, path), settings, policy, openOptions).open(),
  };
}

async function readWholeText(
  url: string,
  settings: HttpSettings,
  budget: RetryBudget,
  { signal }: ReadOptions,
): Promise<string> {
  for (;;) {
    try {
      // Revalidated, not cached blindly: a new revision of the model must be seen.
      const init: RequestInit = { cache: 'no-cache' };
      const { connection, response } = await openFirstContact(url, settings, signal, init);
      return await readAnswer(url, connection, response);
    } catch (thrown) {
      await budget.spend(thrown);
    }
  }
}

async function readAnswer(url: string, connection: HttpConnection, response: Response): Promise<string> {
  try {
    checkTextResponse(response, url);
    return await connection.readText(response);
  } finally {
    connection.close();
  }
}

async function undefinedIfMissing(reading: Promise<string>): Promise<string | undefined> {
  try {
    return await reading;
  } catch (error) {
    // Single-page servers answer 200 and their index page for a file that is not there.
    if (isAutoglmError(error, 'file-missing') || isAutoglmError(error, 'http-not-bytes')) return undefined;
    throw error;
  }
}

function toFolderUrl(address: string): URL {
  const url = parseUrl(address);
  if (!/^https?:$/.test(url.protocol)) throw invalidAddress(address);
  url.hash = '';
  url.pathname = url.pathname.replace(/\/[^/]*\.json$/, '/').replace(/\/?$/, '/');
  if (url.host === 'huggingface.co' && /^\/[^/]+\/[^/]+\/$/.test(url.pathname)) {
    url.pathname += 'resolve/main/';
  }
  return url;
}

function parseUrl(address: string): URL {
  try {
    return new URL(address, globalThis.location?.href);
  } catch (cause) {
    throw invalidAddress(address, cause);
  }
}

function toFileUrl(baseUrl: URL, path: string): string {
  const url = new URL(path, baseUrl);
  url.search = baseUrl.search;
  return url.href;
}

function invalidAddress(address: string, cause?: unknown): AutoglmError {
  return new AutoglmError('request-invalid', `"${address}" is not the http(s) URL of a model folder.`, {
    value: address,
    cure: 'Pass an address such as https://example.org/models/autoglm-phone-9b-q4f16_1/.',
    cause,
  });
}
