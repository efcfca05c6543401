import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { stripShaderComments } from './shader-comments.mjs';

const SHADERS = new URL('../shaders/', import.meta.url);

describe('stripShaderComments', () => {
  it('takes out comments and indentation, and keeps every line', () => {
    expect(stripShaderComments('// Why.\nfn a() {\n  return; // now\n\n}\n')).toBe(
      '\nfn a(){\nreturn;\n\n}\n',
    );
  });

  it('takes out spaces of which no token depends', () => {
    expect(stripShaderComments('let a: array<f32> = f(b - 1, c * (d + -e)) / 2;')).toBe(
      'let a:array<f32> = f(b-1,c*(d + -e))/2;',
    );
    for (const text of readShaders()) expect(tokensOf(stripShaderComments(text))).toEqual(tokensOf(text));
  });

  it('finds no block comments in any shader, which it would leave', () => {
    for (const text of readShaders()) expect(text).not.toContain('/*');
  });
});

function readShaders() {
  const files = readdirSync(SHADERS, { recursive: true, encoding: 'utf8' });
  const shaders = files.filter((file) => file.endsWith('.wgsl'));
  expect(shaders.length).toBeGreaterThan(40);
  return shaders.map((file) => readFileSync(new URL(file, SHADERS), 'utf8'));
}

/** As WGSL's lexer takes them: names and numbers, and the longest operators. */
const TOKENS = /[A-Za-z_]\w*|(?:0x)?[\d.][\w.]*|<<=|>>=|[-+*/%&|^<>=!]=|&&|\|\||->|\+\+|--|<<|>>|[^\s\w]/g;

/** @param {string} text */
function tokensOf(text) {
  return text.replace(/\/\/.*$/gm, '').match(TOKENS);
}
