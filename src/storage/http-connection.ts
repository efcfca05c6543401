import { AutoglmError } from '../base/errors.ts';
import { StalledFault, TransientFault } from './transient-fault.ts';

/** What every request of a source shares. */
export interface HttpSettings {
  readonly fetch: typeof fetch;
  /** Longest silence, in milliseconds, before a connection counts as broken. */
  readonly stallTimeoutMs: number;
}

/** One request and its body, with a watch on silence. Ends by `close`, by a fault or by the caller's signal. */
export class HttpConnection {
  readonly #url: string;
  readonly #settings: HttpSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #controller = new AbortController();
  #reader: BodyReader | undefined;

  constructor(url: string, settings: HttpSettings, signal: AbortSignal | undefined) {
    this.#url = url;
    this.#settings = settings;
    this.#signal = signal;
  }

  /** @throws TransientFault when no answer comes; AutoglmError `cors` when the page may not read the server. */
  async open(init: RequestInit): Promise<Response> {
    const signal = this.#signal
      ? AbortSignal.any([this.#signal, this.#controller.signal])
      : this.#controller.signal;
    const response = await this.#watch(() => this.#settings.fetch(this.#url, { ...init, signal }));
    return response;
  }

  /**
   * Next bytes of the body, `undefined` at its end. They are put into `memory`, which is taken over, where the
   * platform can; megabytes of short-lived buffers would else wait for the garbage collector.
   */
  async read(
    response: Response,
    memory: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (response.body === null) return undefined;
    this.#reader ??= openBody(response.body);
    const read = this.#reader;
    return this.#watch(() => read(memory));
  }

  /** The whole body as text. */
  async readText(response: Response): Promise<string> {
    return this.#watch(() => response.text());
  }

  /** Drops the connection; harmless when it already ended. */
  close(): void {
    this.#controller.abort(new DOMException('The connection is no longer needed.', 'AbortError'));
  }

  /** Runs one step of the exchange; turns silence and breaks into transient faults. */
  async #watch<T>(step: () => Promise<T>): Promise<T> {
    const { stallTimeoutMs } = this.#settings;
    let isStalled = false;
    const timer = setTimeout(() => {
      isStalled = true;
      this.close();
    }, stallTimeoutMs);
    try {
      return await step();
    } catch (thrown) {
      this.#signal?.throwIfAborted();
      if (isStalled) throw stalled(this.#url, stallTimeoutMs);
      throw broken(this.#url, thrown);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Resolves to `undefined` at the end. */
type BodyReader = (memory: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer> | undefined>;

function openBody(body: ReadableStream<Uint8Array<ArrayBuffer>>): BodyReader {
  try {
    const reader = body.getReader({ mode: 'byob' });
    return async (memory) => {
      const { done, value } = await reader.read(memory);
      return done ? undefined : value;
    };
  } catch {
    const reader = body.getReader();
    return async () => (await reader.read()).value;
  }
}

function stalled(url: string, stallTimeoutMs: number): StalledFault {
  const message = `Cannot read ${url}: the server sent nothing for ${stallTimeoutMs / 1000} s.`;
  return new StalledFault(
    new AutoglmError('network', message, {
      value: 'stalled',
      limit: stallTimeoutMs,
      cure: 'Check the connection and load again; what was already fetched is kept.',
    }),
  );
}

function broken(url: string, cause: unknown): TransientFault {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TransientFault(
    new AutoglmError('network', `Cannot read ${url}: the connection failed (${reason}).`, {
      value: reason,
      cure: 'Check the connection and load again; what was already fetched is kept.',
      cause,
    }),
  );
}
