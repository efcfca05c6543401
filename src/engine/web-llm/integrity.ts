/** Checks of files against hashes in the form of Subresource Integrity, for programs that bring their own. */
import { AutoglmError } from '../../base/errors.ts';

const ALGORITHMS = { sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' } as const;
const HASH_BYTES = { sha256: 32, sha384: 48, sha512: 64 } as const;

/** Those that were made here: in this package an error's name is that of its base. */
const OWN = new WeakSet<object>();

/** A file that is not what its hash says. Web-llm's own errors of this name are instances as well. */
export class IntegrityError extends AutoglmError {
  readonly url: string;
  readonly expected: string;
  readonly actual: string;
  constructor(url: string, expected: string, actual: string) {
    super('shard-corrupt', `The file ${url} is not what it should be.`, {
      value: actual,
      limit: expected,
      cure: 'Fetch it again, or correct its hash.',
    });
    OWN.add(this);
    this.url = url;
    this.expected = expected;
    this.actual = actual;
  }

  /** True for errors of this class and for web-llm's own of this name. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false;
    return OWN.has(value) || (value instanceof Error && value.name === 'IntegrityError');
  }
}

/** Whether a text is `sha256-`, `sha384-` or `sha512-` and a hash of that kind in base64. */
export function isValidSRI(sri: string): boolean {
  return parse(sri) !== undefined;
}

/**
 * Checks bytes against a hash.
 *
 * @throws IntegrityError when they differ, unless `onFailure` is `warn`: then the console says so
 */
export async function verifyIntegrity(
  data: ArrayBuffer,
  expectedSRI: string,
  url: string,
  onFailure: 'error' | 'warn' = 'error',
): Promise<void> {
  const parsed = parse(expectedSRI);
  if (!parsed) {
    throw new AutoglmError('request-invalid', 'Cannot check a file against such a hash.', {
      value: expectedSRI,
      limit: '"sha256-", "sha384-" or "sha512-" and the hash in base64',
      cure: 'Correct the hash, or leave it out.',
    });
  }
  const digest = await crypto.subtle.digest(ALGORITHMS[parsed.algorithm], data);
  const actual = btoa(String.fromCharCode(...new Uint8Array(digest)));
  if (actual.replace(/=+$/, '') === parsed.hash.replace(/=+$/, '')) return;
  const error = new IntegrityError(url, expectedSRI, `${parsed.algorithm}-${actual}`);
  if (onFailure === 'error') throw error;
  console.warn(error.message);
}

function parse(sri: string): { algorithm: keyof typeof ALGORITHMS; hash: string } | undefined {
  const [, algorithm, hash] = /^(sha256|sha384|sha512)-([A-Za-z0-9+/]+={0,2})$/.exec(sri) ?? [];
  if (algorithm === undefined || hash === undefined) return undefined;
  const known = algorithm as keyof typeof ALGORITHMS;
  const byteLength = Math.floor((hash.replace(/=+$/, '').length * 3) / 4);
  return byteLength === HASH_BYTES[known] ? { algorithm: known, hash } : undefined;
}
