import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkImports } from './check-imports.mjs';

/** @type {string[]} */
const roots = [];

/** A tree in which every rule holds; each test breaks one. */
const SOUND = {
  'src/index.ts': `export { run } from './engine/engine.ts';`,
  'src/base/errors.ts': `export class Fault extends Error {}`,
  'src/gpu/device.ts': `import { Fault } from '../base/errors.ts';\nexport type Device = Fault;`,
  'src/gpu/webgpu-node.ts': `import { create } from 'webgpu';\nimport { readFile } from 'node:fs/promises';`,
  'src/kernels/add.ts': `import code from '#shaders/add.wgsl?raw';\nimport type { Device } from '../gpu/device.ts';`,
  'src/kernels/add.test.ts': `import { run } from '../engine/engine.ts';\nimport 'node:fs';`,
  'src/model/golden.test.ts': `const data = new URL('../../../data/golden.json', import.meta.url);`,
  'src/engine/engine.ts': `export const run = 1;\nexport type Run = typeof run;`,
  'src/agent/loop.ts': `import type { Run } from '../engine/engine.ts';`,
  'src/cli/main.ts': `import '../gpu/webgpu-node.ts';\nimport 'commander';`,
  'src/demo/index.html': `<script type="module" src="./main.ts"></script>`,
  'src/demo/main.ts': `import '../index.ts';`,
  'shaders/add.wgsl': '',
};

/** @param {Record<string, string>} [changes] @returns {string[]} */
function faultsWith(changes = {}) {
  const root = mkdtempSync(join(tmpdir(), 'autoglm-imports-'));
  roots.push(root);
  for (const [path, text] of Object.entries({ ...SOUND, ...changes })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return checkImports(root);
}

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

describe('checkImports', () => {
  it('finds nothing wrong with a tree in which all rules hold', () => {
    expect(faultsWith()).toEqual([]);
  });

  /** @type {[string, Record<string, string>, RegExp][]} */
  const cases = [
    [
      'an import that the table does not allow',
      { 'src/base/errors.ts': `\nimport { run } from '../engine/engine.ts';` },
      /^src\/base\/errors\.ts:2 .*base may not import engine/,
    ],
    [
      'a forbidden import of types only',
      { 'src/base/errors.ts': `import type { Run } from '../engine/engine.ts';` },
      /base may not import engine/,
    ],
    [
      'a forbidden import inside a type',
      { 'src/base/errors.ts': `export type R = import('../engine/engine.ts').Run;` },
      /base may not import engine/,
    ],
    [
      'a forbidden re-export',
      { 'src/base/errors.ts': `export * from '../engine/engine.ts';` },
      /base may not import engine/,
    ],
    [
      'a forbidden dynamic import',
      { 'src/base/errors.ts': `export const load = () => import('../engine/engine.ts');` },
      /base may not import engine/,
    ],
    [
      'a forbidden worker',
      { 'src/base/errors.ts': `new Worker(new URL('../engine/engine.ts', import.meta.url));` },
      /base may not import engine/,
    ],
    [
      'values where only types are allowed',
      { 'src/agent/loop.ts': `import { run } from '../engine/engine.ts';` },
      /agent may import only types from engine/,
    ],
    [
      'a page that goes round the public entry',
      { 'src/demo/index.html': `<p></p>\n<script type="module">import '../engine/engine.ts';</script>` },
      /^src\/demo\/index\.html:2 .*demo may not import engine/,
    ],
    ['a folder that is no room', { 'src/misc/things.ts': '' }, /src\/misc\/things\.ts lies in no known room/],
    ['a file outside every room', { 'src/things.ts': '' }, /src\/things\.ts lies in no known room/],
    [
      'an import from outside src',
      { 'src/base/errors.ts': `import '../../tools.ts';`, 'tools.ts': '' },
      /outside src/,
    ],
    ['a file that is missing', { 'src/base/errors.ts': `import './gone.ts';` }, /does not exist/],
    [
      'a missing import in a test',
      { 'src/base/errors.test.ts': `import './gone.ts';` },
      /errors\.test\.ts:1 .*does not exist/,
    ],
    [
      'a product file that imports a test',
      { 'src/kernels/add.ts': `import code from '#shaders/add.wgsl?raw';\nimport './add.test.ts';` },
      /may not import its tests/,
    ],
    [
      'a glob, which hides its files',
      { 'src/base/errors.ts': `export const all = import.meta.glob('./*.ts');` },
      /a glob hides/,
    ],
    [
      'a Node module in a browser room',
      { 'src/base/errors.ts': `import 'node:fs';` },
      /browsers have no such/,
    ],
    ['a bare Node module', { 'src/base/errors.ts': `import 'fs/promises';` }, /browsers have no such/],
    ['a Node-only package', { 'src/base/errors.ts': `import 'sharp';` }, /browsers have no such/],
    [
      'a Node-only file in a browser room',
      { 'src/gpu/device.ts': `import './webgpu-node.ts';` },
      /a page would load a Node-only file/,
    ],
    [
      'a circle of two files',
      { 'src/base/errors.ts': `import './b.ts';`, 'src/base/b.ts': `import './errors.ts';` },
      /circle: src\/base\/\S+ -> src\/base\/\S+ -> src\/base\/\S+\.$/,
    ],
    [
      'a circle of types across three files',
      {
        'src/base/a.ts': `import type { B } from './b.ts';\nexport type A = B;`,
        'src/base/b.ts': `import type { C } from './c.ts';\nexport type B = C;`,
        'src/base/c.ts': `import type { A } from './a.ts';\nexport type C = A;`,
      },
      /circle: src\/base\/a\.ts -> src\/base\/b\.ts -> src\/base\/c\.ts -> src\/base\/a\.ts/,
    ],
    [
      'a file that imports itself',
      { 'src/base/a.ts': `import './a.ts';` },
      /circle: src\/base\/a\.ts -> src\/base\/a\.ts/,
    ],
    [
      'a shader in a room that runs no kernels',
      { 'src/model/plan.ts': `import code from '#shaders/add.wgsl?raw';` },
      /src\/model may not import shaders/,
    ],
    [
      'a shader that no kernel imports',
      { 'shaders/mul.wgsl': '' },
      /shaders\/mul\.wgsl is imported by no kernel/,
    ],
    [
      'a prelude that no kernel imports',
      { 'shaders/preludes/half.wgsl': '' },
      /half\.wgsl is imported by no kernel/,
    ],
    [
      'a shader of another kernel',
      { 'src/kernels/sub.ts': `import code from '#shaders/add.wgsl?raw';` },
      /shaders\/add\.wgsl belongs to src\/kernels\/add\.ts alone/,
    ],
    [
      'a shader that is missing',
      { 'src/kernels/add.ts': `import '#shaders/add.wgsl?raw';\nimport '#shaders/gone.wgsl?raw';` },
      /gone\.wgsl\?raw", which does not exist/,
    ],
  ];

  it.each(cases)('finds %s', (_, changes, fault) => {
    const faults = faultsWith(changes);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
  });
});
