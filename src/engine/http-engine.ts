import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { AutoglmError, isAbortError, isAutoglmError } from '../base/errors.ts';
import type { ListedModel, ModelList } from '../protocol/helper-http.ts';
import type { CallOptions, ChatCompletions, Engine, EngineInfo, TextCompletions } from './engine.ts';
import { inlineImages } from './inline-images.ts';
import { localRequestInit } from './local-network.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionRequest,
} from './openai.ts';
import { fromOpenAIError } from './openai-errors.ts';
import { NO_PREFILL, type PrefillRequest, type PrefillSummary } from './prefill.ts';

/** Which server an `HttpEngine` speaks to. */
export interface HttpEngineOptions {
  /** `helper`: the linked one on this machine; `remote`: any other OpenAI-compatible one. */
  readonly face: 'helper' | 'remote';
  /** Address before `/v1`; one that ends with `/v1` is the same. */
  readonly url: string;
  /** Bearer token or API key. */
  readonly token?: string | undefined;
  /** Longest silence, in milliseconds, in the middle of a stream; the helper sends a sign of life every 10 s. */
  readonly stallTimeoutMs?: number | undefined;
}

const HELPER_STALL_MS = 45_000;

/** Status of a route that a server does not have, or of a model that it does not run. */
const NOT_FOUND = 404;

/** An engine behind an OpenAI-compatible HTTP server: the linked helper, or vLLM, SGLang and the like. */
export class HttpEngine implements Engine {
  readonly info: EngineInfo;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions;
  readonly #connection: HttpConnection;
  readonly #unloading = new AbortController();

  constructor(connection: HttpConnection, info: EngineInfo) {
    this.#connection = connection;
    this.info = info;
    const create = (request: ChatCompletionRequest, options: CallOptions = {}) =>
      this.#create(request, options);
    this.chat = { completions: { create: create as ChatCompletions['create'] } };
    const complete = (request: CompletionRequest, options: CallOptions = {}) =>
      this.#complete(request, options);
    this.completions = { create: complete as TextCompletions['create'] };
  }

  /** Only a helper, and one that is new enough, computes ahead; others are not asked. */
  async prefill(request: PrefillRequest, options: CallOptions = {}): Promise<PrefillSummary> {
    if (this.#connection.face !== 'helper') return NO_PREFILL;
    const signal = this.#combine(options.signal);
    const messages = await inlineImages(request.messages, signal);
    const body = { ...request, messages, model: this.info.model };
    try {
      const response = await this.#connection.request('/v1/autoglm/prefill', body, signal);
      return (await this.#connection.readJson(response, signal)) as PrefillSummary;
    } catch (error) {
      if (isAutoglmError(error) && error.value === NOT_FOUND) return NO_PREFILL;
      throw error;
    }
  }

  /** The server keeps its model; only calls from here end. */
  async unload(): Promise<void> {
    this.#unloading.abort(
      new AutoglmError('engine-unloaded', 'This engine was unloaded.', { cure: 'Create a new one.' }),
    );
  }

  async #create(
    request: ChatCompletionRequest,
    options: CallOptions,
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>> {
    const signal = this.#combine(options.signal);
    const messages = await inlineImages(request.messages, signal);
    const response = await this.#connection.request(
      '/v1/chat/completions',
      { ...request, messages, model: this.info.model },
      signal,
    );
    if (request.stream) return this.#connection.stream<ChatCompletionChunk>(response, signal);
    return (await this.#connection.readJson(response, signal)) as ChatCompletion;
  }

  async #complete(
    request: CompletionRequest,
    options: CallOptions,
  ): Promise<Completion | AsyncIterable<Completion>> {
    const signal = this.#combine(options.signal);
    const body = { ...request, model: this.info.model };
    const response = await this.#connection.request('/v1/completions', body, signal);
    if (request.stream) return this.#connection.stream<Completion>(response, signal);
    return (await this.#connection.readJson(response, signal)) as Completion;
  }

  /** Fires with the caller's signal, or when the engine is unloaded. @throws its reason when it already has */
  #combine(signal: AbortSignal | undefined): AbortSignal {
    const unloading = this.#unloading.signal;
    const combined = signal ? AbortSignal.any([unloading, signal]) : unloading;
    combined.throwIfAborted();
    return combined;
  }
}

/** Requests to one server, with its faults as the package's. */
export class HttpConnection {
  readonly face: HttpEngineOptions['face'];
  readonly url: string;
  readonly #token: string | undefined;
  readonly #stallTimeoutMs: number | undefined;

  constructor({ face, url, token, stallTimeoutMs }: HttpEngineOptions) {
    this.face = face;
    this.url = checkUrl(url).replace(/\/+$/, '').replace(/\/v1$/, '');
    this.#token = token;
    this.#stallTimeoutMs = stallTimeoutMs ?? (face === 'helper' ? HELPER_STALL_MS : undefined);
  }

  /** The models that the server has. */
  async listModels(signal?: AbortSignal): Promise<readonly ListedModel[]> {
    const { data } = (await this.getJson('/v1/models', signal)) as ModelList;
    return data;
  }

  async getJson(path: string, signal?: AbortSignal): Promise<unknown> {
    return this.readJson(await this.#send(path, { method: 'GET' }, signal), signal);
  }

  /** Sends JSON. @throws AutoglmError what the server says, or `helper-unreachable` */
  async request(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return this.#send(path, { method: 'POST', headers, body: JSON.stringify(body) }, signal);
  }

  async put(path: string, body: Blob, signal?: AbortSignal): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream' };
    await this.#send(path, { method: 'PUT', headers, body }, signal);
  }

  async readJson(response: Response, signal?: AbortSignal): Promise<unknown> {
    try {
      return await response.json();
    } catch (cause) {
      signal?.throwIfAborted();
      throw this.unreachable('broke off its answer', cause);
    }
  }

  /** The chunks of a stream of events, up to `[DONE]`. */
  async *stream<Chunk>(response: Response, signal: AbortSignal): AsyncGenerator<Chunk> {
    const events: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (event) => void events.push(event) });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await this.#read(reader, signal);
        parser.feed(done ? '\n\n' : decoder.decode(value, { stream: true }));
        for (const { data } of events.splice(0)) {
          if (data === '[DONE]') return;
          yield parseChunk<Chunk>(data);
        }
        if (done) throw this.unreachable('ended its answer in the middle');
      }
    } finally {
      // The reader left the loop: the server sees the connection close and stops.
      await reader.cancel().catch(() => {});
    }
  }

  /** The error for a server that does not answer, or not to the end. */
  unreachable(what: string, cause?: unknown): AutoglmError {
    const isHelper = this.face === 'helper';
    return new AutoglmError(
      isHelper ? 'helper-unreachable' : 'network',
      `The ${isHelper ? 'helper' : 'server'} at ${this.url} ${what}.`,
      {
        value: this.url,
        cure: isHelper
          ? 'Start it with "autoglm serve".'
          : 'Check its address, and that it allows this page (CORS).',
        cause,
      },
    );
  }

  async #read(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    signal: AbortSignal,
  ): Promise<ReadableStreamReadResult<Uint8Array>> {
    const limit = this.#stallTimeoutMs;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const reading = reader.read();
      if (limit === undefined) return await reading;
      const stall = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`nothing came for ${limit} ms`)), limit);
      });
      reading.catch(() => {});
      return await Promise.race([reading, stall]);
    } catch (cause) {
      signal.throwIfAborted();
      throw this.unreachable('broke off its answer', cause);
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const response = await this.#fetch(path, init, signal);
    if (response.ok) return response;
    throw toFault(response.status, await response.json().catch(() => undefined), this.face);
  }

  async #fetch(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const url = this.url + path;
    const authorization = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
    try {
      return await fetch(url, {
        ...localRequestInit(url),
        ...init,
        headers: { ...init.headers, ...authorization },
        cache: 'no-store',
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
        ...(signal && { signal }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      if (isAbortError(cause)) throw cause;
      throw this.unreachable('does not answer', cause);
    }
  }
}

function toFault(status: number, body: unknown, face: HttpEngineOptions['face']): AutoglmError {
  const said = fromOpenAIError(status, body);
  if (status !== 401 && status !== 403) {
    // A helper that is being stopped, or still loads, is one to wait for.
    if (status !== 503 || face !== 'helper' || said.code !== 'engine-unloaded') return said;
    return new AutoglmError('helper-unreachable', said.message, { value: status });
  }
  if (face === 'helper') {
    return new AutoglmError('helper-unlinked', `The helper refuses this page: ${said.message}`, {
      value: status,
      cure: 'Link it again.',
    });
  }
  return new AutoglmError('http-status', `The server refuses the key: ${said.message}`, {
    value: status,
    cure: 'Give the API key of this server.',
  });
}

function parseChunk<Chunk>(data: string): Chunk {
  const chunk = JSON.parse(data) as Chunk & { readonly error?: { readonly code?: unknown } };
  if (chunk.error === undefined) return chunk;
  throw fromOpenAIError(500, chunk);
}

function checkUrl(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new AutoglmError('request-invalid', `"${url}" is not the address of a server.`, {
    value: url,
    limit: 'an http(s) URL',
    cure: 'Give an address such as http://127.0.0.1:8000.',
  });
}
