import { APIError, BadRequestError, InternalServerError, NotFoundError, RateLimitError } from 'openai';
import { describe, expect, it } from 'vitest';
import { AutoglmError, type ErrorCode } from '../base/errors.ts';
import { fromOpenAIError, toOpenAIError } from './openai-errors.ts';

/** What the official client makes of an answer. */
function toClientError({ status, body }: ReturnType<typeof toOpenAIError>) {
  return APIError.generate(status, JSON.parse(JSON.stringify(body)), undefined, new Headers());
}

describe('toOpenAIError', () => {
  it.each([
    ['request-invalid', BadRequestError, 'invalid_value'],
    ['prompt-too-long', BadRequestError, 'context_length_exceeded'],
    ['image-undecodable', BadRequestError, 'image_parse_error'],
    ['model-unknown', NotFoundError, 'model_not_found'],
    ['engine-busy', RateLimitError, 'rate_limit_exceeded'],
    ['device-lost', InternalServerError, 'device_lost'],
    ['shader-invalid', InternalServerError, 'shader_invalid'],
  ] as const)('lets the official client throw the right class for %s', (code, Class, openaiCode) => {
    const error = toClientError(toOpenAIError(new AutoglmError(code, 'It failed.', { cure: 'Try this.' })));
    expect(error).toBeInstanceOf(Class);
    expect(error.code).toBe(openaiCode);
    expect(error.message).toContain('It failed. Try this.');
  });

  it.each([
    ['missing', 'missing_required_parameter'],
    ['unknown', 'unknown_parameter'],
    ['type', 'invalid_type'],
    ['value', 'invalid_value'],
    ['unsupported', 'unsupported_parameter'],
  ] as const)('names the field that is %s', (fieldFault, code) => {
    const { status, body } = toOpenAIError(
      new AutoglmError('request-invalid', 'No.', { param: 'tools[0].type', fieldFault }),
    );
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: 'invalid_request_error', param: 'tools[0].type', code });
  });

  it('hides nothing behind an unknown error, and answers an abort', () => {
    expect(toOpenAIError(new TypeError('x is not a function'))).toMatchObject({
      status: 500,
      body: { error: { type: 'server_error', message: 'x is not a function', code: 'internal' } },
    });
    expect(toOpenAIError(new DOMException('gone', 'AbortError')).status).toBe(499);
  });
});

describe('fromOpenAIError', () => {
  it('gives the very error back that a server of this package sent', () => {
    const error = new AutoglmError('prompt-too-long', 'Too long.', { value: 9, limit: 8, cure: 'Cut it.' });
    const { status, body } = toOpenAIError(error);
    const received = fromOpenAIError(status, JSON.parse(JSON.stringify(body)));
    expect(received).toMatchObject({ code: 'prompt-too-long', value: 9, limit: 8, cure: 'Cut it.' });
    expect(received.message).toBe(error.message);
  });

  it.each<[number, unknown, ErrorCode]>([
    [
      400,
      { error: { message: 'bad', type: 'invalid_request_error', param: 'n', code: null } },
      'request-invalid',
    ],
    [400, { error: { message: 'long', code: 'context_length_exceeded' } }, 'prompt-too-long'],
    [404, { error: { message: 'no such model', code: 'model_not_found' } }, 'model-unknown'],
    [401, { error: { message: 'no key' } }, 'http-status'],
    [429, { error: { message: 'slow down' } }, 'engine-busy'],
    [502, '<html>', 'internal'],
    [400, undefined, 'request-invalid'],
  ])('understands %i %j of other servers', (status, body, code) => {
    const error = fromOpenAIError(status, body);
    expect(error.code).toBe(code);
    expect(error.message).not.toBe('');
  });
});
