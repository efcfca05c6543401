/** Every fault that the package reports by code. A code never changes its meaning between releases. */
export type ErrorCode =
  // gpu
  | 'webgpu-unavailable'
  | 'device-lost'
  | 'out-of-memory'
  | 'limit-exceeded'
  | 'shader-invalid'
  | 'gpu-validation'
  // model folder and checkpoint
  | 'config-invalid'
  | 'architecture-unsupported'
  | 'tensor-missing'
  | 'tensor-unknown'
  | 'tensor-shape'
  | 'tensor-dtype'
  | 'checkpoint-invalid'
  | 'manifest-invalid'
  | 'quantization-unsupported'
  // storage and network
  | 'file-missing'
  | 'http-status'
  | 'http-not-bytes'
  | 'network'
  | 'cors'
  | 'shard-missing'
  | 'shard-truncated'
  | 'shard-corrupt'
  | 'quota-exceeded'
  | 'storage-unavailable'
  // input
  | 'image-undecodable'
  | 'image-aspect-ratio'
  | 'image-size'
  | 'tokenizer-invalid'
  | 'tokenizer-missing'
  | 'template-invalid'
  | 'message-invalid'
  | 'request-invalid'
  | 'prompt-too-long'
  | 'action-invalid'
  // engine
  | 'engine-unloaded'
  | 'engine-busy'
  | 'helper-unreachable'
  | 'usage'
  | 'internal';

/** What a fault was about, beyond its message. */
export interface FaultDetails {
  /** The value that was refused. */
  readonly value?: unknown;
  /** The limit or expectation that it broke. */
  readonly limit?: unknown;
  /** What the reader can do about it: one imperative sentence. */
  readonly cure?: string;
  /** The lower-level error, kept for logs. */
  readonly cause?: unknown;
}

/**
 * The one error base of the package.
 *
 * The message reads: what failed, with which value, against which limit, what to do. The parts are also
 * fields, so that a program need not parse the sentence.
 */
export class AutoglmError extends Error {
  override readonly name: string = 'AutoglmError';
  readonly code: ErrorCode;
  readonly value: unknown;
  readonly limit: unknown;
  readonly cure: string | undefined;

  constructor(code: ErrorCode, message: string, details: FaultDetails = {}) {
    const { value, limit, cure, cause } = details;
    super(cure === undefined ? message : `${message} ${cure}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.value = value;
    this.limit = limit;
    this.cure = cure;
  }

  /** Plain data for a worker message or an HTTP body; `fromJSON` is its inverse. */
  toJSON(): SerializedError {
    const { code, message } = this;
    return { code, message, value: toPlain(this.value), limit: toPlain(this.limit), cure: this.cure };
  }

  /** Rebuilds an error that crossed a worker or the network; its message is kept as it was. */
  static fromJSON(plain: SerializedError): AutoglmError {
    const error = new AutoglmError(plain.code, plain.message, { value: plain.value, limit: plain.limit });
    Object.defineProperty(error, 'cure', { value: plain.cure, enumerable: true });
    return error;
  }
}

/** An `AutoglmError` as plain data. */
export interface SerializedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly value?: unknown;
  readonly limit?: unknown;
  readonly cure?: string | undefined;
}

/** True for an `AutoglmError`, optionally of one code. */
export function isAutoglmError(error: unknown, code?: ErrorCode): error is AutoglmError {
  return error instanceof AutoglmError && (code === undefined || error.code === code);
}

/** True for the DOMException that an aborted signal throws. */
export function isAbortError(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Anything thrown, as an error of the package; aborts and package errors pass through unchanged. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof AutoglmError || isAbortError(thrown)) return thrown as Error;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AutoglmError('internal', message, { cause: thrown });
}

function toPlain(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? JSON.parse(JSON.stringify(value)) : value;
}
