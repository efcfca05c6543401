import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { withoutBodies } from './cuda-compilers.mjs';

const MODEL = new URL('../src/model/', import.meta.url);

describe('withoutBodies', () => {
  it('keeps a module’s functions by name, and fails where one is called', async () => {
    const text = withoutBodies(
      'import { x } from "./x.ts";\nexport function f(): number {\n  return x;\n}\n',
    );
    const { f } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
    expect(f).toThrow('no CUDA');
  });

  it('finds all that the compilers export', () => {
    const files = readdirSync(MODEL).filter((file) => /^compile-cuda-\w+\.ts$/.test(file));
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) {
      const text = readFileSync(new URL(file, MODEL), 'utf8');
      const exported = text.match(/^export (?!type|interface)/gm) ?? [];
      expect(withoutBodies(text).match(/^export function/gm)).toHaveLength(exported.length);
    }
  });
});
