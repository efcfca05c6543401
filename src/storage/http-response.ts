import { AutoglmError } from '../base/errors.ts';
import { parseRetryAfterMs } from './retry-policy.ts';
import { TransientFault } from './transient-fault.ts';

/** What a request asked for, to judge its answer by. */
export interface ExpectedAnswer {
  readonly url: string;
  /** First byte asked for. */
  readonly position: number;
  /** Length of the whole file, when known. */
  readonly byteLength: number | undefined;
}

/** Statuses beyond 5xx that a later attempt may not meet again. */
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 421, 423, 425, 429]);

/**
 * Judges the head of an answer.
 *
 * @returns how many bytes of its body to skip: a server that ignores Range sends the file from its start.
 * @throws TransientFault for an answer that may be better next time; AutoglmError otherwise.
 */
export function checkFileResponse(response: Response, expected: ExpectedAnswer): number {
  if (response.status !== 200 && response.status !== 206) throw statusFault(response, expected);
  if (isHtml(response)) throw notBytes(expected.url);
  if (response.status === 200) return expected.position;
  return checkContentRange(response, expected);
}

/** As `checkFileResponse` for a small text that is asked for as a whole. */
export function checkTextResponse(response: Response, url: string): void {
  checkFileResponse(response, { url, position: 0, byteLength: undefined });
}

function checkContentRange(response: Response, { url, position, byteLength }: ExpectedAnswer): number {
  // Hidden from pages unless the server exposes it; the hash still guards what is then taken on trust.
  const header = response.headers.get('content-range');
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header ?? '');
  if (match === null) return 0;
  const [start, total] = [Number(match[1]), Number(match[2])];
  if (byteLength !== undefined && Number.isFinite(total) && total !== byteLength) {
    throw wrongLength(url, total, byteLength);
  }
  if (start > position) {
    const message = `Cannot resume ${url}: asked for byte ${position} and got byte ${start}.`;
    throw new TransientFault(new AutoglmError('http-status', message, { value: header }));
  }
  return position - start;
}

function statusFault(response: Response, expected: ExpectedAnswer): Error {
  const { status, statusText } = response;
  const { url, byteLength } = expected;
  if (status === 404 || status === 410) return fileMissing(url, status);
  if (status === 416) return wrongLength(url, totalOf(response) ?? expected.position, byteLength);
  const message = `Cannot read ${url}: the server answered ${status} ${statusText}.`;
  const error = new AutoglmError('http-status', message, {
    value: status,
    limit: '200 or 206',
    cure:
      status === 401 || status === 403
        ? 'Check that the link is public or still valid.'
        : 'Try again later; what was already fetched is kept.',
  });
  // A redirect target that refuses is an expired signed link: the next attempt starts at the original URL.
  const isExpiredLink = response.redirected && status >= 400 && status < 500;
  if (status < 500 && !TRANSIENT_STATUSES.has(status) && !isExpiredLink) return error;
  return new TransientFault(error, parseRetryAfterMs(response.headers.get('retry-after'), Date.now()));
}

function totalOf(response: Response): number | undefined {
  const match = /^bytes \*\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match === null ? undefined : Number(match[1]);
}

function isHtml(response: Response): boolean {
  return /^\s*text\/html\b/i.test(response.headers.get('content-type') ?? '');
}

function fileMissing(url: string, status: number): AutoglmError {
  return new AutoglmError('file-missing', `Cannot find ${url}: the server answered ${status}.`, {
    value: url,
    cure: 'Check the address of the model folder.',
  });
}

function notBytes(url: string): AutoglmError {
  return new AutoglmError('http-not-bytes', `Cannot read ${url}: the server answered with an HTML page.`, {
    value: 'text/html',
    cure: 'Check the address: servers answer unknown paths, logins and outages with a page.',
  });
}

/** The file on the server has not the length that the manifest lists. */
export function wrongLength(url: string, byteLength: number, expected: number | undefined): AutoglmError {
  const message = `${url} holds ${byteLength} bytes and its manifest lists ${expected ?? 'more'}.`;
  return new AutoglmError('shard-truncated', message, {
    value: byteLength,
    limit: expected,
    cure: 'Upload the model folder again, or convert it again.',
  });
}
