import { AutoglmError, isAbortError, toError, type ErrorCode, type FieldFault } from '../base/errors.ts';
import type { SerializedError } from '../base/errors.ts';

/** The body with which OpenAI's API, and everything that is compatible with it, answers a failed request. */
export interface OpenAIErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: OpenAIErrorType;
    /** Path of the request's field at fault. */
    readonly param: string | null;
    readonly code: string | null;
    /** Extra: the package's own error, which a client of this package rebuilds; others ignore it. */
    readonly autoglm?: SerializedError;
  };
}

export type OpenAIErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'server_error';

/** An error as an HTTP answer. */
export interface OpenAIErrorResponse {
  readonly status: number;
  readonly body: OpenAIErrorBody;
}

/** How faults of one code look from outside. */
interface Shape {
  readonly status: number;
  readonly type: OpenAIErrorType;
  readonly code: string | null;
  readonly param?: string;
}

const SERVER_FAULT: Shape = { status: 500, type: 'server_error', code: null };

/** The caller's faults, and the states that pass; whatever is not named is the server's own fault. */
const SHAPES: Partial<Record<ErrorCode, Shape>> = {
  'request-invalid': invalid('invalid_value'),
  'message-invalid': invalid('invalid_value', 'messages'),
  'prompt-too-long': invalid('context_length_exceeded', 'messages'),
  'image-undecodable': invalid('image_parse_error', 'messages'),
  'image-aspect-ratio': invalid('invalid_image', 'messages'),
  'image-size': invalid('image_too_large', 'messages'),
  // An image of the request that could not be had; files of the model fail long before a request.
  network: invalid('invalid_image_url', 'messages'),
  cors: invalid('invalid_image_url', 'messages'),
  'http-status': invalid('invalid_image_url', 'messages'),
  'template-invalid': invalid('unsupported_value', 'messages'),
  'tokenizer-missing': invalid('unsupported_value', 'messages'),
  'model-unknown': { status: 404, type: 'invalid_request_error', code: 'model_not_found', param: 'model' },
  'engine-busy': { status: 429, type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  'engine-unloaded': { status: 503, type: 'server_error', code: 'engine_unloaded' },
  'device-lost': { status: 503, type: 'server_error', code: 'device_lost' },
  'out-of-memory': { status: 503, type: 'server_error', code: 'out_of_memory' },
  'helper-unreachable': { status: 503, type: 'server_error', code: 'helper_unreachable' },
};

/** OpenAI's codes for a field that is wrong in one of these ways. */
const FIELD_CODES: Record<FieldFault, string> = {
  missing: 'missing_required_parameter',
  unknown: 'unknown_parameter',
  type: 'invalid_type',
  value: 'invalid_value',
  unsupported: 'unsupported_parameter',
};

/** Status of a request that its client gave up (nginx's); nobody is left to read it. */
const CLIENT_CLOSED_REQUEST = 499;

/** Anything thrown while a request was served, as OpenAI's API would answer. */
export function toOpenAIError(thrown: unknown): OpenAIErrorResponse {
  const error = toError(thrown);
  if (isAbortError(error)) return toResponse({ ...SERVER_FAULT, status: CLIENT_CLOSED_REQUEST }, error);
  const { code, param, fieldFault } = error as AutoglmError;
  const shape = SHAPES[code] ?? SERVER_FAULT;
  return toResponse(
    {
      ...shape,
      code: fieldFault ? FIELD_CODES[fieldFault] : (shape.code ?? code.replaceAll('-', '_')),
      ...(param !== undefined && { param }),
    },
    error,
    (error as AutoglmError).toJSON(),
  );
}

/**
 * The error behind an HTTP answer of an OpenAI-compatible server. A server of this package sends its own error
 * along; the others' are told from their status and code.
 */
export function fromOpenAIError(status: number, body: unknown): AutoglmError {
  const { error } = (isObject(body) ? body : {}) as Partial<OpenAIErrorBody>;
  if (isSerializedError(error?.autoglm)) return AutoglmError.fromJSON(error.autoglm);
  const said =
    typeof error?.message === 'string' ? error.message : `The server answered with status ${status}.`;
  return new AutoglmError(toErrorCode(status, error?.code), said, {
    value: status,
    param: typeof error?.param === 'string' ? error.param : undefined,
    fieldFault: toFieldFault(error?.code),
  });
}

function invalid(code: string, param?: string): Shape {
  return { status: 400, type: 'invalid_request_error', code, ...(param !== undefined && { param }) };
}

function toResponse(shape: Shape, { message }: Error, autoglm?: SerializedError): OpenAIErrorResponse {
  const { status, type, code, param = null } = shape;
  return { status, body: { error: { message, type, param, code, ...(autoglm && { autoglm }) } } };
}

function toErrorCode(status: number, code: unknown): ErrorCode {
  if (code === 'context_length_exceeded') return 'prompt-too-long';
  const byStatus: Record<number, ErrorCode> = {
    400: 'request-invalid',
    404: 'model-unknown',
    413: 'request-invalid',
    422: 'request-invalid',
    429: 'engine-busy',
    503: 'engine-unloaded',
  };
  return byStatus[status] ?? (status < 500 ? 'http-status' : 'internal');
}

function toFieldFault(code: unknown): FieldFault | undefined {
  const found = Object.entries(FIELD_CODES).find(([, name]) => name === code);
  return found?.[0] as FieldFault | undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isSerializedError(value: unknown): value is SerializedError {
  return isObject(value) && typeof value['code'] === 'string' && typeof value['message'] === 'string';
}
