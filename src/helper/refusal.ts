import type { OpenAIErrorBody, OpenAIErrorType } from '../engine/openai-errors.ts';

/** Why a request was not served; one word for the log and for the metrics. */
export type RefusalReason =
  | 'wrong-host'
  | 'foreign-origin'
  | 'null-origin'
  | 'cross-site'
  | 'no-token'
  | 'unknown-token'
  | 'other-origins-token'
  | 'wrong-content-type'
  | 'body-too-large'
  | 'wrong-code'
  | 'pairing-locked'
  | 'unknown-model'
  | 'client-queue-full'
  | 'queue-full'
  | 'stopping'
  | 'no-model'
  | 'request-invalid'
  | 'not-found';

const TYPES: Readonly<Record<number, OpenAIErrorType>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  503: 'server_error',
};

/** A request that the helper does not serve, with the answer that says so. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly reason: RefusalReason;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    reason: RefusalReason,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.headers = headers;
  }

  /** OpenAI's error body. */
  toBody(): OpenAIErrorBody {
    const { message, status, reason } = this;
    return {
      error: {
        message,
        type: TYPES[status] ?? 'invalid_request_error',
        param: null,
        code: reason.replaceAll('-', '_'),
      },
    };
  }
}

/** The header that says when to come back. */
export function retryAfter(ms: number): Record<string, string> {
  return { 'retry-after': String(Math.max(1, Math.ceil(ms / 1000))) };
}
