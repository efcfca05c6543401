import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { stripShaderComments } from './shader-comments.mjs';

const SHADERS = new URL('../shaders/', import.meta.url);

describe('stripShaderComments', () => {
  it('takes out comments and indentation, and keeps every line', () => {
    expect(stripShaderComments('// Why.\nfn a() {\n  return; // now\n\n}\n')).toBe(
      '\nfn a() {\nreturn;\n\n}\n',
    );
  });

  it('finds no block comments in any shader, which it would leave', () => {
    for (const file of readdirSync(SHADERS, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.wgsl')) continue;
      expect(readFileSync(new URL(file, SHADERS), 'utf8').includes('/*'), file).toBe(false);
    }
  });
});
