/**
 * The products of CUDA's decode step, two tiles lane by lane on the CPU: rows of every kind of end, for one, two and four
 * sequences. Where no nvcc is installed, which brings the headers, the tests are skipped by name.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findNvcc } from '../../helper/find-nvcc.mjs';

const HEADERS = fileURLToPath(new URL('../../../shaders/cuda/', import.meta.url));
const HARNESS = fileURLToPath(new URL('step-product.test-support.cpp', import.meta.url));

const nvcc = findNvcc();
const absent = nvcc ? '' : ' (nvcc is absent: CUDA_HOME, PATH and the cache folder have none)';

/** What functions that are one instruction of the GPU do on the CPU, by header. All stages are there from the start. */
const INSTRUCTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'common.cuh': { exp2_near: 'return exp2f(x);', reciprocal_near: 'return 1 / x;' },
  'mma.cuh': {
    load_shared_vector: 'return *reinterpret_cast<const uint4*>(shared_bytes.data() + source);',
    load_shared_float2: 'return *reinterpret_cast<const float2*>(shared_bytes.data() + source);',
    load_shared_word: 'return *reinterpret_cast<const u32*>(shared_bytes.data() + source);',
    load_shared_half: 'return *reinterpret_cast<const __half*>(shared_bytes.data() + source);',
    store_shared_word: '*reinterpret_cast<u32*>(shared_bytes.data() + target) = value;',
    shared_address: 'return reinterpret_cast<const unsigned char*>(pointer) - shared_bytes.data();',
    multiply_bytes: 'host_multiply_bytes(d, a0, a1, a2, a3, b0, b1);',
  },
  'step-ring.cuh': { mbarrier_init: '', mbarrier_arrive: '', mbarrier_wait: '', mbarrier_wait_cluster: '' },
  'step-product.cuh': { signed_bytes: 'return (word & 0xf0f0f0f0u) ^ 0x70707070u;' },
};

/** A header with other bodies of these functions, which are written on one line or end with a brace on its own. */
function withBodies(source: string, bodies: Readonly<Record<string, string>>): string {
  return Object.entries(bodies).reduce((text, [name, body]) => {
    const definition = new RegExp(String.raw`(__forceinline__ \w+ ${name}\([^)]*\)) \{(?:.*\}|[^]*?\n\})\n`);
    expect(text).toMatch(definition);
    return text.replace(definition, (_, head: string) => `${head} { ${body} }\n`);
  }, source);
}

interface Case {
  /** Whether rows end at half a unit at most, or anywhere. */
  readonly rest: string;
  readonly columns: number;
  /** Of blocks that multiply a row together. */
  readonly blocks: number;
  /** Whether a tile has eight gates and eight ups. */
  readonly isGated: boolean;
  readonly K: number;
  /** Over the largest that rounding can make. */
  readonly error: number;
}

describe.skipIf(!nvcc)(`tiles of a decode step's product on the CPU${absent}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'step-product-'));
  let cases: readonly Case[];

  beforeAll(() => {
    for (const name of readdirSync(HEADERS).filter((file) => file.endsWith('.cuh'))) {
      const source = readFileSync(join(HEADERS, name), 'utf8');
      writeFileSync(join(folder, name), withBodies(source, INSTRUCTIONS[name] ?? {}));
    }
    const [source, program] = [join(folder, 'product.cpp'), join(folder, 'product')];
    copyFileSync(HARNESS, source);
    const flags = ['-x', 'c++', '-std=c++20', '-O1', '-Xcompiler', '-w', '-Xcompiler', '-pthread'];
    execFileSync(nvcc?.path ?? '', [...flags, '-I', folder, '-o', program, source]);
    cases = execFileSync(program, { encoding: 'utf8' }).trim().split('\n').map(readCase);
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  it('errs by what rounding takes, however many sequences and blocks, and wherever rows end', () => {
    expect(cases).toHaveLength(90);
    expect(cases.filter(({ blocks }) => blocks === 2)).toHaveLength(16);
    expect(cases.filter(({ error }) => !(error < 1))).toEqual([]);
  });
});

function readCase(line: string): Case {
  const [rest = '', ...numbers] = line.split(' ');
  const [columns = NaN, blocks = NaN, isGated, K = NaN, error = NaN] = numbers.map(Number);
  return { rest, columns, blocks, isGated: isGated === 1, K, error };
}
