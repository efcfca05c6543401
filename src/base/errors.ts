/** Every fault that the package reports by code. A code never changes its meaning between releases. */
export type ErrorCode =
  // gpu
  | 'webgpu-unavailable'
  | 'cuda-unavailable'
  | 'device-lost'
  | 'out-of-memory'
  | 'limit-exceeded'
  | 'model-too-large'
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
  | 'session-missing'
  | 'session-mismatch'
  | 'session-corrupt'
  | 'model-unknown'
  | 'helper-unreachable'
  | 'helper-unlinked'
  | 'helper-blocked'
  | 'port-unavailable'
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
  /** Path of the request's field at fault, such as `top_p` or `messages[0].content`. */
  readonly param?: string | undefined;
  /** What is wrong with that field. */
  readonly fieldFault?: FieldFault | undefined;
  /** The lower-level error, kept for logs. */
  readonly cause?: unknown;
}

/** How a field of a request is wrong: absent, not known, of a wrong type, out of range, or known but not offered. */
export type FieldFault = 'missing' | 'unknown' | 'type' | 'value' | 'unsupported';

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
  readonly param: string | undefined;
  readonly fieldFault: FieldFault | undefined;

  constructor(code: ErrorCode, message: string, details: FaultDetails = {}) {
    const { value, limit, cure, param, fieldFault, cause } = details;
    super(cure === undefined ? message : `${message} ${cure}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.value = value;
    this.limit = limit;
    this.cure = cure;
    this.param = param;
    this.fieldFault = fieldFault;
  }

  /** Plain data for a worker message or an HTTP body; `fromJSON` is its inverse. */
  toJSON(): SerializedError {
    const { code, message, cure, param, fieldFault } = this;
    return { code, message, value: toPlain(this.value), limit: toPlain(this.limit), cure, param, fieldFault };
  }

  /** Rebuilds an error that crossed a worker or the network; its message is kept as it was. */
  static fromJSON(plain: SerializedError): AutoglmError {
    const { code, message, value, limit, param, fieldFault } = plain;
    const error = new AutoglmError(code, message, { value, limit, param, fieldFault });
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
  readonly param?: string | undefined;
  readonly fieldFault?: FieldFault | undefined;
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
