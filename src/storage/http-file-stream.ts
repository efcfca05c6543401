import { AutoglmError } from '../base/errors.ts';
import { isCrossOrigin, openConnection, openFirstContact } from './first-contact.ts';
import type { HttpConnection, HttpSettings } from './http-connection.ts';
import { checkFileResponse, wrongLength } from './http-response.ts';
import { PullDestination } from './pull-destination.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type { OpenFileOptions } from './shard-source.ts';
import { RetryBudget, TransientFault } from './transient-fault.ts';

/** Bytes after which a connection counts as having worked, so that a server that drips cannot hold us forever. */
const PROGRESS_BYTES = 64 * 1024;

/**
 * One file over HTTP as a stream that survives breaks: after each it asks the original URL again (so that an
 * expired redirect is resolved anew) for the bytes that are still missing.
 */
export class HttpFileStream implements UnderlyingByteSource {
  readonly type = 'bytes';
  readonly autoAllocateChunkSize = 256 * 1024;
  readonly #url: string;
  readonly #settings: HttpSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #byteLength: number | undefined;
  readonly #budget: RetryBudget;
  /** Next byte of the file to deliver. */
  #position: number;
  #connection: HttpConnection | undefined;
  #response: Response | undefined;
  /** Bytes of the current body that were delivered before. */
  #skipBytes = 0;
  #entityTag: string | undefined;
  #bytesSinceFault = 0;
  #hasAnswered = false;

  constructor(url: string, settings: HttpSettings, policy: RetryPolicy, options: OpenFileOptions) {
    this.#url = url;
    this.#settings = settings;
    this.#signal = options.signal;
    this.#byteLength = options.byteLength;
    this.#position = options.offset ?? 0;
    this.#budget = new RetryBudget(policy, options.signal);
  }

  /** Connects at once, so that a file that is not there fails the opening and not the first read. */
  async open(): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    await this.#retrying(() => this.#connect());
    return new ReadableStream(this, { highWaterMark: 0 });
  }

  /** Fills the memory that the consumer brought, or that the stream made. */
  async pull(controller: ReadableByteStreamController): Promise<void> {
    const destination = new PullDestination(controller);
    try {
      const bytes = await this.#retrying(() => this.#next(destination));
      const isEnd = bytes === undefined || this.#position === this.#byteLength;
      if (isEnd) this.cancel();
      if (bytes === undefined) destination.end();
      else destination.deliver(bytes);
      if (isEnd && bytes !== undefined) controller.close();
    } catch (error) {
      this.cancel();
      throw error;
    }
  }

  cancel(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#response = undefined;
  }

  async #retrying<T>(step: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await step();
      } catch (thrown) {
        this.cancel();
        await this.#budget.spend(thrown);
        this.#bytesSinceFault = 0;
      }
    }
  }

  /** Asks for the file from `#position` on. */
  async #connect(): Promise<Response> {
    // No HTTP cache: it would keep gigabytes a second time, and redirects whose signature expires.
    const init: RequestInit = { headers: this.#headers(), cache: 'no-store' };
    const open = this.#hasAnswered ? openConnection : openFirstContact;
    const { connection, response } = await open(this.#url, this.#settings, this.#signal, init);
    this.#connection = connection;
    this.#hasAnswered = true;
    const { status } = response;
    this.#skipBytes = checkFileResponse(response, {
      url: this.#url,
      position: this.#position,
      byteLength: this.#byteLength,
    });
    this.#checkUnchanged(response);
    // Offsets of an encoded body are not those of the file.
    if (status === 206 && response.headers.get('content-encoding')) throw encodedRange(this.#url);
    this.#response = response;
    return response;
  }

  #headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    if (globalThis.location === undefined) headers['accept-encoding'] = 'identity';
    if (this.#position === 0) return headers;
    headers['range'] = `bytes=${this.#position}-`;
    // Across origins If-Range would need a preflight that file servers do not answer; tags are compared instead.
    const isStrong = this.#entityTag !== undefined && !this.#entityTag.startsWith('W/');
    if (isStrong && !isCrossOrigin(this.#url)) headers['if-range'] = this.#entityTag as string;
    return headers;
  }

  #checkUnchanged(response: Response): void {
    const entityTag = response.headers.get('etag') ?? undefined;
    if (entityTag === undefined) return;
    const isChanged = this.#entityTag !== undefined && this.#entityTag !== entityTag;
    this.#entityTag = entityTag;
    if (isChanged && this.#position > 0) throw changed(this.#url);
  }

  /** Next bytes that were not delivered before; `undefined` at the end of a file of unknown length. */
  async #next(destination: PullDestination): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#position === this.#byteLength) return undefined;
    const response = this.#response ?? (await this.#connect());
    for (;;) {
      const bytes = await (this.#connection as HttpConnection).read(response, destination.takeMemory());
      if (bytes === undefined) {
        if (this.#byteLength === undefined) return undefined;
        throw endedEarly(this.#url, this.#position, this.#byteLength);
      }
      const fresh = this.#takeFresh(bytes);
      if (fresh.byteLength > 0) return fresh;
    }
  }

  #takeFresh(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const skipped = Math.min(this.#skipBytes, bytes.byteLength);
    this.#skipBytes -= skipped;
    const rest = (this.#byteLength ?? Infinity) - this.#position;
    const fresh = bytes.subarray(skipped, Math.min(bytes.byteLength, skipped + rest));
    this.#position += fresh.byteLength;
    this.#bytesSinceFault += fresh.byteLength;
    if (this.#bytesSinceFault >= PROGRESS_BYTES) this.#budget.reset();
    return fresh;
  }
}
function endedEarly(url: string, position: number, byteLength: number): TransientFault {
  return new TransientFault(wrongLength(url, position, byteLength));
}

function changed(url: string): AutoglmError {
  return new AutoglmError('shard-corrupt', `${url} changed on the server while it was read.`, {
    value: url,
    cure: 'Load the model again.',
  });
}

function encodedRange(url: string): AutoglmError {
  return new AutoglmError('http-not-bytes', `Cannot resume ${url}: the server compresses ranges.`, {
    value: 'content-encoding',
    cure: 'Serve *.bin files without compression.',
  });
}
