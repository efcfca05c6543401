/** A helper on a free port with a scripted engine, and requests as raw as an attacker's. */
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AutoglmError } from '../base/errors.ts';
import type { CallOptions, ChatCompletions, Engine, EngineInfo, TextCompletions } from '../engine/engine.ts';
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from '../engine/openai.ts';
import type { PrefillRequest, PrefillSummary } from '../engine/prefill.ts';
import { ClientRegistry } from './client-registry.ts';
import { ModelHost } from './model-host.ts';
import { OfferedModels } from './offered-models.ts';
import { PairingCode } from './pairing-code.ts';
import { createHelperServer, type HelperLimits, type HelperServer } from './server.ts';

export const PAGE = 'https://page.example';

/** Writes `max_tokens` words, one every `delayMs`; a message of `fail` is too long, one of `break` breaks off. */
export class ScriptedEngine implements Engine {
  readonly info: EngineInfo = {
    model: 'scripted',
    backend: 'webgpu',
    adapter: 'none',
    isSoftware: true,
    contextWindow: 64,
    gpuBytes: 1024,
    quantization: 'none',
  };
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions = {
    create: async (): Promise<never> => Promise.reject(new Error('The script has chats only.')),
  };
  readonly requests: ChatCompletionRequest[] = [];
  readonly prefills: PrefillRequest[] = [];
  delayMs = 0;
  /** Put behind every word. */
  padding = '';
  running = 0;
  mostRunning = 0;
  aborted = 0;

  constructor() {
    const create = async (request: ChatCompletionRequest, options: CallOptions = {}) => {
      this.requests.push(request);
      if (request.stream) return this.#stream(request, options.signal);
      const words: string[] = [];
      for await (const { choices } of this.#stream(request, options.signal)) {
        const text = choices[0]?.delta.content ?? '';
        if (text !== '') words.push(text);
      }
      return toCompletion(words.join(''), words.length);
    };
    this.chat = { completions: { create: create as ChatCompletions['create'] } };
  }

  /** Ends with its signal alone where the message says `slow`. */
  async prefill(request: PrefillRequest, { signal }: CallOptions = {}): Promise<PrefillSummary> {
    this.prefills.push(request);
    while (request.messages[0]?.content === 'slow') {
      await new Promise((resolve) => setTimeout(resolve, 1));
      signal?.throwIfAborted();
    }
    return { promptTokens: 3, cachedTokens: 1, computedTokens: 2 };
  }

  async countTokens(): Promise<number> {
    return 5;
  }

  stats() {
    return { gpuBytes: 1024, cacheTokens: 7, cacheCapacity: 64 };
  }

  async unload(): Promise<void> {}

  async *#stream(
    { messages, max_tokens: most, stream_options: options }: ChatCompletionRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ChatCompletionChunk> {
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    const count = most ?? 3;
    let isWhole = false;
    try {
      yield toChunk('');
      const said = messages[0]?.content;
      if (said === 'fail') throw new AutoglmError('prompt-too-long', 'It is too long.', { cure: 'Cut it.' });
      for (let number = 1; number <= count; number++) {
        await new Promise((resolve) => setTimeout(resolve, this.delayMs));
        signal?.throwIfAborted();
        if (said === 'break' && number > 1) throw new AutoglmError('device-lost', 'The GPU went away.');
        yield toChunk(`${number} ${this.padding}`);
      }
      if (options?.include_usage) yield { ...toChunk(''), choices: [], usage: usageOf(count) };
      isWhole = true;
    } finally {
      this.running--;
      if (!isWhole) this.aborted++;
    }
  }
}

/** What `startHelper` gives. */
export interface RunningHelper extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly engine: ScriptedEngine;
  readonly server: HelperServer;
  readonly registry: ClientRegistry;
  readonly pairing: PairingCode;
  readonly key: string;
  readonly folder: string;
  /** Every line of the log. */
  readonly log: readonly Record<string, unknown>[];
  /** Reasons of the refusals that were logged. */
  reasons(): string[];
  ask(options: Ask): Promise<Reply>;
  /** A chat with a valid token of `PAGE`. */
  chat(body: unknown, options?: Partial<Ask>): Promise<Reply>;
}

/** One raw request; by default a program's with the key of the run. */
export interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: () => Record<string, never>;
}

export async function startHelper(limits: Partial<HelperLimits> = {}): Promise<RunningHelper> {
  const folder = mkdtempSync(join(tmpdir(), 'autoglm-helper-'));
  const engine = new ScriptedEngine();
  const log: Record<string, unknown>[] = [];
  const registry = new ClientRegistry(folder);
  const pairing = new PairingCode(() => {});
  const host = new ModelHost(async () => ({ engine, fingerprint: undefined }));
  await host.load('scripted');
  const key = 'key-of-this-run';
  const server = createHelperServer({
    host,
    registry,
    pairing,
    offered: new OfferedModels(folder),
    sessionKey: key,
    limits,
    log: { write: (line) => void log.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const port = await server.listen(0);
  const ask = (options: Ask): Promise<Reply> => send(port, options);
  const { token } = registry.issue('origin', PAGE);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    engine,
    server,
    registry,
    pairing,
    key,
    folder,
    log,
    reasons: () => log.flatMap(({ reason }) => (typeof reason === 'string' ? [reason] : [])),
    ask,
    chat: (body, options = {}) =>
      ask({
        method: 'POST',
        path: '/v1/chat/completions',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...options,
        headers: {
          origin: PAGE,
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          ...options.headers,
        },
      }),
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await host.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function send(port: number, { method = 'GET', path, headers = {}, body }: Ask): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { port, method, path, headers, host: '127.0.0.1', agent: false },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(pieces).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: () => JSON.parse(text) as Record<string, never>,
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

function toChunk(content: string): ChatCompletionChunk {
  return {
    id: 'c',
    object: 'chat.completion.chunk',
    created: 0,
    model: 'scripted',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  };
}

function toCompletion(content: string, count: number): ChatCompletion {
  return {
    id: 'c',
    object: 'chat.completion',
    created: 0,
    model: 'scripted',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null },
        finish_reason: 'length',
        logprobs: null,
      },
    ],
    usage: usageOf(count),
  };
}

function usageOf(count: number) {
  return { prompt_tokens: 5, completion_tokens: count, total_tokens: 5 + count };
}
