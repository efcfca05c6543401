import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { reflectBindings } from '../gpu/shader-source.ts';
import { encodeRows, encodeStep, type Row, type Step } from '../model/step.ts';
import { DECODE_LAYER_STORAGE_BUFFERS } from './decode-layer.ts';
import { ROPE_QKV_STORAGE_BUFFERS } from './matvec-int8.ts';

const SHADERS = new URL('../../shaders/', import.meta.url);
const PRELUDES = new URL('preludes/', SHADERS);
const KERNELS = new URL('./', import.meta.url);

/** What every WebGPU device grants to a shader. */
const MAX_STORAGE_BUFFERS = 8;

/**
 * Variants that bind more on purpose: a shader with a prelude that the compiler only takes where the device's limit
 * allows it (`fusesRope` of `src/model/compile-options.ts`). Nothing else may pass `MAX_STORAGE_BUFFERS`.
 */
const WIDE_VARIANTS = [
  // The qkv product with bias, M-RoPE and the append to the cache in one dispatch.
  { shader: 'matvec-int8', prelude: 'store4-rope', storageBuffers: ROPE_QKV_STORAGE_BUFFERS },
] as const;

/** Kernels of a whole layer, which the compiler takes only where the device's limit allows it. */
const WIDE_KERNELS: Readonly<Record<string, number>> = { 'decode-layer': DECODE_LAYER_STORAGE_BUFFERS };

/** Kernels that only finish another one's work, and share its twin and its parity test. */
const FINISHERS: Readonly<Record<string, string>> = { 'merge-logprobs': 'top-logprobs' };

const shaders = listNames(SHADERS, '.wgsl');
const preludes = listNames(PRELUDES, '.wgsl').map((name) => {
  const text = readFileSync(new URL(`${name}.wgsl`, PRELUDES), 'utf8');
  return { name, text, definitions: definitionsOf(text) };
});

function listNames(folder: URL, ending: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(ending))
    .map((file) => basename(file, ending));
}

function readShader(name: string): string {
  return readFileSync(new URL(`${name}.wgsl`, SHADERS), 'utf8');
}

/** Functions and types that a WGSL text declares: what a shader takes from a prelude. */
function definitionsOf(text: string): string[] {
  return [...text.matchAll(/^(?:fn|struct|alias)\s+(\w+)/gm)].map(([, name]) => name);
}

function storageCount(text: string): number {
  return reflectBindings(text).filter(({ kind }) => kind !== 'uniform').length;
}

/**
 * Storage buffers that a shader can come to with its preludes. A prelude counts when the text uses a name that
 * it defines; of preludes that define the same name, only one can be there, and the largest counts. Those that
 * are `taken` are left out.
 */
function largestStorageCount(text: string, taken: ReadonlySet<string> = new Set()): number {
  const words = new Set(text.replaceAll(/\/\/.*/g, '').match(/\w+/g));
  for (const own of definitionsOf(text)) words.delete(own);
  const used = preludes.filter(({ name, definitions }) => {
    return !taken.has(name) && definitions.some((definition) => words.has(definition));
  });
  let count = storageCount(text);
  const counted = new Set(taken);
  for (const { name, definitions } of used) {
    if (counted.has(name)) continue;
    const alternatives = used.filter((other) => other.definitions.some((one) => definitions.includes(one)));
    for (const alternative of alternatives) counted.add(alternative.name);
    count += Math.max(...alternatives.map((one) => largestStorageCount(one.text, counted)));
  }
  return count;
}

describe('Shader files', () => {
  it.each(shaders)('%s belongs to the kernel of its name, with a twin and a parity test', (name) => {
    const kernel = new URL(`${name}.ts`, KERNELS);
    expect(existsSync(kernel), `src/kernels/${name}.ts exists`).toBe(true);
    expect(readFileSync(kernel, 'utf8')).toContain(`'#shaders/${name}.wgsl?raw'`);
    for (const ending of ['reference.ts', 'gpu.test.ts']) {
      const file = `${FINISHERS[name] ?? name}.${ending}`;
      expect(existsSync(new URL(file, KERNELS)), `${file} exists`).toBe(true);
    }
  });

  it('are imported by no kernel but that of their name', () => {
    const imports = listNames(KERNELS, '.ts').flatMap((kernel) => {
      const text = readFileSync(new URL(`${kernel}.ts`, KERNELS), 'utf8');
      return [...text.matchAll(/'#shaders\/([\w-]+)\.wgsl\?raw'/g)].map(([, shader]) => ({ kernel, shader }));
    });
    expect(
      imports.filter(({ kernel, shader }) => kernel !== shader && kernel !== 'shader-files.test'),
    ).toEqual([]);
    expect(imports.map(({ shader }) => shader).toSorted()).toEqual(expect.arrayContaining(shaders));
  });

  it.each(shaders)(`%s needs at most ${MAX_STORAGE_BUFFERS} storage buffers in any base variant`, (name) => {
    const wide = WIDE_VARIANTS.filter(({ shader }) => shader === name).map(({ prelude }) => prelude);
    const count = largestStorageCount(readShader(name), new Set(wide));
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(WIDE_KERNELS[name] ?? MAX_STORAGE_BUFFERS);
  });

  it.each(WIDE_VARIANTS)(
    '$shader with $prelude needs the $storageBuffers storage buffers that the compiler asks for',
    ({ shader, prelude, storageBuffers }) => {
      expect(preludes.map(({ name }) => name)).toContain(prelude);
      expect(largestStorageCount(readShader(shader))).toBe(storageBuffers);
      // Otherwise it does not belong in the table.
      expect(storageBuffers).toBeGreaterThan(MAX_STORAGE_BUFFERS);
    },
  );

  it('count the largest of several preludes that stand for each other', () => {
    // A quantised weight and its scale; y and the bias.
    expect(largestStorageCount('fn main() { store(0u, 0u, weight8(0u, 0u)[0].x); }')).toBe(2 + 2);
    expect(largestStorageCount('// store and weight8')).toBe(0);
  });
});

/** A field of a WGSL struct, in 32-bit words. */
interface Field {
  readonly name: string;
  readonly first: number;
  readonly count: number;
}

const FIELD_TYPES: Readonly<Record<string, { readonly count: number; readonly alignment: number }>> = {
  u32: { count: 1, alignment: 1 },
  vec3u: { count: 3, alignment: 4 },
};

/** The layout that WGSL gives to a struct, and its size. */
function layoutOf(text: string, struct: string): { fields: Field[]; words: number } {
  const body = new RegExp(`struct ${struct} \\{([^}]*)\\}`).exec(text)?.[1];
  if (body === undefined) throw new Error(`no struct ${struct}`);
  const fields: Field[] = [];
  let end = 0;
  let widest = 1;
  for (const [, name, type] of body.matchAll(/^\s*(\w+):\s*([\w<>]+),/gm)) {
    const { count, alignment } =
      FIELD_TYPES[type] ?? fail(`type ${type} of ${struct}.${name} has no rule here`);
    const first = Math.ceil(end / alignment) * alignment;
    fields.push({ name: name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), first, count });
    end = first + count;
    widest = Math.max(widest, alignment);
  }
  return { fields, words: Math.ceil(end / widest) * widest };
}

function fail(message: string): never {
  throw new Error(message);
}

/** Reads what the host wrote with the shader's eyes, less the reserved fields, which must be 0. */
function decode(words: Uint32Array, { fields }: { fields: Field[] }): Record<string, number | number[]> {
  const isReserved = ({ name }: Field): boolean => name.startsWith('reserved');
  for (const { first } of fields.filter(isReserved)) expect(words[first]).toBe(0);
  return Object.fromEntries(
    fields
      .filter((field) => !isReserved(field))
      .map(({ name, first, count }) => {
        return [name, count === 1 ? words[first] : [...words.subarray(first, first + count)]];
      }),
  );
}

describe('Structs of the shaders', () => {
  const textOf = (name: string): string => preludes.find((one) => one.name === name)?.text ?? '';

  it('Row lies in memory as the host writes it', () => {
    const layout = layoutOf(textOf('row'), 'Row');
    const rows: Row[] = [1, 20].map((first) => ({
      position: [first, first + 1, first + 2],
      token: first + 3,
      cacheIndex: first + 4,
      slot: first + 5,
      generated: first + 6,
    }));
    const words = encodeRows(rows);
    expect(words.length).toBe(rows.length * layout.words);
    rows.forEach((row, i) => {
      expect(decode(words.subarray(i * layout.words), layout)).toEqual({ ...row, isCounting: 0 });
    });
  });

  it('Step lies in memory as the host writes it', () => {
    const layout = layoutOf(textOf('step'), 'Step');
    const step: Required<Step> = { rowCount: 1, gridRows: 2, gridColumns: 3, slot: 4, cacheStart: 5 };
    const words = encodeStep(step);
    expect(words.length).toBe(layout.words);
    expect(decode(words, layout)).toEqual(step);
  });
});
