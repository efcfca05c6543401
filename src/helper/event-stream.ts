import type { ServerResponse } from 'node:http';
import { AutoglmError } from '../base/errors.ts';

/** How a stream of events is written. */
export interface EventStreamOptions {
  readonly signal: AbortSignal;
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>;
  /** Longest wait for a client that does not read. */
  readonly stallTimeoutMs: number;
}

/** Proxies and clients take a silent connection for a dead one. */
const HEARTBEAT_MS = 10_000;

/** Server-sent events, no faster than the client reads them. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #options: EventStreamOptions;
  readonly #heartbeat: NodeJS.Timeout;

  constructor(response: ServerResponse, options: EventStreamOptions) {
    this.#response = response;
    this.#options = options;
    for (const [name, value] of Object.entries(options.headers)) {
      if (value !== undefined) response.setHeader(name, value);
    }
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    this.#heartbeat = setInterval(() => response.write(': still here\n\n'), HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  /** Sends one event. @throws when the client is gone or does not read any more. */
  async send(data: unknown): Promise<void> {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    if (this.#response.destroyed) throw gone();
    this.#heartbeat.refresh();
    if (!this.#response.write(`data: ${text}\n\n`)) await this.#drained();
  }

  /** Idempotent. */
  end(): void {
    clearInterval(this.#heartbeat);
    this.#response.end();
  }

  #drained(): Promise<void> {
    const response = this.#response;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => (): void => {
        clearTimeout(timer);
        response.off('drain', onDrain).off('close', onClose);
        act();
      };
      const onDrain = settle(resolve);
      const onClose = settle(() => reject(gone()));
      const onStall = settle(() => {
        response.destroy();
        reject(gone());
      });
      const timer = setTimeout(onStall, this.#options.stallTimeoutMs);
      response.once('drain', onDrain).once('close', onClose);
    });
  }
}

function gone(): AutoglmError {
  return new AutoglmError('network', 'The client does not read its answer any more.');
}
