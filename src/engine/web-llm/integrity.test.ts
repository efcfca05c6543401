/** The functions against web-llm's own. */
import * as webllm from '@mlc-ai/web-llm';
import { expect, it, vi } from 'vitest';
import { IntegrityError, isValidSRI, verifyIntegrity } from './integrity.ts';

const DATA = new TextEncoder().encode('a file').buffer;
const OTHER = new TextEncoder().encode('another').buffer;

async function hashOf(data: ArrayBuffer, algorithm: string): Promise<string> {
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest(algorithm, data))));
}

it('accepts and refuses what web-llm does', async () => {
  const hashes = [
    `sha256-${await hashOf(DATA, 'SHA-256')}`,
    `sha384-${await hashOf(DATA, 'SHA-384')}`,
    `sha512-${await hashOf(DATA, 'SHA-512')}`,
    `sha512-${await hashOf(DATA, 'SHA-256')}`,
    'sha1-AAAA',
    '',
  ];
  for (const hash of hashes) {
    expect([hash, isValidSRI(hash)]).toEqual([hash, webllm.isValidSRI(hash)]);
    for (const data of [DATA, OTHER]) {
      const outcome = async (verify: typeof verifyIntegrity) =>
        verify(data, hash, 'u').then(
          () => 'right',
          (error: unknown) =>
            error instanceof IntegrityError ? [error.url, error.expected, error.actual] : 'no hash',
        );
      expect(await outcome(verifyIntegrity)).toEqual(await outcome(webllm.verifyIntegrity));
    }
  }
});

it('takes web-llm’s own error for one of its kind, and only warns where it is asked to', async () => {
  expect(new webllm.IntegrityError('u', 'a', 'b')).toBeInstanceOf(IntegrityError);
  expect(new IntegrityError('u', 'a', 'b')).toBeInstanceOf(IntegrityError);
  expect(new Error('x')).not.toBeInstanceOf(IntegrityError);
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  await verifyIntegrity(OTHER, `sha256-${await hashOf(DATA, 'SHA-256')}`, 'u', 'warn');
  expect(warn).toHaveBeenCalledOnce();
  warn.mockRestore();
});
