import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { narrowToBfloat16, narrowToFloat16, widenBfloat16, widenFloat16 } from '../base/float16.ts';
import {
  createReferenceWeights,
  referenceFolder,
  toSafetensors,
  type ReferenceTensor,
} from '../model/goldens/reference-model.test-support.ts';
import { dequantizeGroups } from '../model/quantize-groups.ts';
import { parseManifest, type Manifest } from '../storage/manifest.ts';
import { openSafetensors, type SafetensorsFile } from '../storage/safetensors.ts';
import { convertCheckpoint, type ConvertOptions, type ConvertResult } from './convert.ts';
import { createTemporaryFolder, type TemporaryFolder } from './reference-folder.test-support.ts';

type Tensors = readonly Pick<ReferenceTensor, 'name' | 'shape' | 'values'>[];

const GATE_UP = 'model.language_model.layers.1.mlp.gate_up_proj';
const TINY = new URL('../../../shared/models/autoglm-tiny/', import.meta.url);

// Disk and cores may be shared with everything else that a test run does.
vi.setConfig({ testTimeout: 120_000 });

let temporary: TemporaryFolder;
let weights: Tensors;
let config: Record<string, Record<string, unknown>>;
let count = 0;

beforeAll(async () => {
  temporary = await createTemporaryFolder();
  weights = [...(await createReferenceWeights('glm4v-b')).values()];
  config = JSON.parse(await readFile(join(referenceFolder('glm4v-b'), 'config.json'), 'utf8'));
});
afterAll(() => temporary[Symbol.asyncDispose]());

function nextPath(): string {
  return join(temporary.path, String(count++));
}

/** A Hugging Face folder with the given files. */
async function writeCheckpoint(files: Record<string, Uint8Array | string>): Promise<string> {
  const folder = nextPath();
  await mkdir(folder);
  const all = { 'config.json': JSON.stringify(config), ...files };
  for (const [name, content] of Object.entries(all)) await writeFile(join(folder, name), content);
  return folder;
}

function writeSingle(tensors: Tensors): Promise<string> {
  return writeCheckpoint({ 'model.safetensors': toSafetensors(tensors) });
}

async function convert(source: string, options: Partial<ConvertOptions> = {}): Promise<Converted> {
  const target = nextPath();
  const result = await convertCheckpoint({
    source,
    target,
    quantization: 'q4f16_1',
    scaleRule: 'absmax',
    visionQuantization: 'default',
    threads: 0,
    ...options,
  });
  return openConverted(target, result);
}

interface Converted {
  readonly target: string;
  readonly result: ConvertResult;
  readonly manifest: Manifest;
  readonly bytes: (name: string) => Uint8Array<ArrayBuffer>;
}

async function openConverted(target: string, result: ConvertResult): Promise<Converted> {
  const manifest = parseManifest(await readFile(join(target, 'tensor-cache.json'), 'utf8'));
  const shards = await Promise.all(manifest.shards.map(({ dataPath }) => readFile(join(target, dataPath))));
  const bytes = (name: string): Uint8Array<ArrayBuffer> => {
    const { shardIndex, byteOffset, byteLength } = manifest.tensors.get(name)!;
    return new Uint8Array(shards[shardIndex]!.subarray(byteOffset, byteOffset + byteLength));
  };
  return { target, result, manifest, bytes };
}

/** Rewrites tensors in a 16-bit dtype. */
function toHalfFile(tensors: Tensors, dtype: 'F16' | 'BF16'): Uint8Array {
  const file = openSafetensors(toSafetensors(tensors));
  const header: Record<string, unknown> = {};
  const parts = tensors.map(({ name }) => {
    const values = file.float32(name);
    const bits = new Uint16Array(values.length);
    (dtype === 'F16' ? narrowToFloat16 : narrowToBfloat16)(values, bits);
    return new Uint8Array(bits.buffer);
  });
  let end = 0;
  tensors.forEach(({ name, shape }, i) => {
    header[name] = { dtype, shape, data_offsets: [end, (end += parts[i]!.byteLength)] };
  });
  const json = new TextEncoder().encode(JSON.stringify(header));
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  return Buffer.concat([prefix, json, ...parts]);
}

function replace(name: string, change: (tensor: Tensors[number]) => Partial<Tensors[number]>): Tensors {
  return weights.map((tensor) => (tensor.name === name ? { ...tensor, ...change(tensor) } : tensor));
}

/** The squared error of a quantised linear against its f32 weights. */
function squaredError({ bytes }: Converted, base: string, format: 'q4' | 'q8' = 'q4'): number {
  const { values } = weights.find(({ name }) => name === `${base}.weight`)!;
  const words = new Uint32Array(bytes(`${base}.q_weight`).buffer);
  const scales = new Uint16Array(bytes(`${base}.q_scale`).buffer);
  const back = new Float32Array(values.length);
  dequantizeGroups(words, scales, back, format);
  return values.reduce((total, value, i) => total + (value - back[i]!) ** 2, 0);
}

function expectEqual(converted: Converted, golden: SafetensorsFile): void {
  for (const [name, { shape }] of golden.entries) {
    expect(converted.manifest.tensors.get(name)?.shape, name).toEqual(shape);
    expect(Buffer.compare(converted.bytes(name), golden.bytes(name)), name).toBe(0);
  }
}

describe('convertCheckpoint', () => {
  it('packs glm4v-b at q4f16_1 with absmax scales bit for bit as the reference', async () => {
    const converted = await convert(await writeSingle(weights));
    const golden = openSafetensors(await readFile(join(referenceFolder('glm4v-b'), 'model-q4.safetensors')));
    expect(golden.entries.size).toBe(40);
    expectEqual(converted, golden);
  });

  // The trained model's reference lies outside the project; the random one above covers the rule.
  it(`packs autoglm-tiny as its reference${existsSync(TINY) ? '' : ' (../shared/models/autoglm-tiny is absent: only glm4v-b was compared)'}`, async () => {
    if (!existsSync(TINY)) return;
    const converted = await convert(TINY.pathname);
    expectEqual(converted, openSafetensors(await readFile(new URL('model-q4.safetensors', TINY))));
  });

  it('keeps vision, norms and biases as f16 at q4f16_1 and lists tensors in the order of use', async () => {
    const { manifest, bytes, result } = await convert(await writeSingle(weights));
    const plain = weights.filter(({ name }) => manifest.tensors.has(name));
    expect(plain).toHaveLength(weights.length - 20);
    for (const { name, values } of plain) {
      const expected = new Uint16Array(values.length);
      narrowToFloat16(values, expected);
      expect(Buffer.compare(bytes(name), new Uint8Array(expected.buffer)), name).toBe(0);
    }
    const names = manifest.shards.flatMap((shard) => shard.tensors.map(({ name }) => name));
    expect(names[0]).toBe('model.visual.patch_embed.proj.weight');
    expect(names.at(-1)).toBe('lm_head.q_scale');
    expect(names.indexOf('model.language_model.embed_tokens.q_weight')).toBeLessThan(
      names.indexOf('model.language_model.layers.0.input_layernorm.weight'),
    );
    expect(manifest.quantization).toBe('q4f16_1');
    expect(result.parameters).toBe(2814976);
  });

  it('writes the sha256 and the md5 of every shard and copies the json files', async () => {
    const source = await writeCheckpoint({
      'model.safetensors': toSafetensors(weights),
      'chat_template.jinja': '{{ x }}',
      'README.md': 'not copied',
    });
    const { target, manifest } = await convert(source);
    const raw = JSON.parse(await readFile(join(target, 'tensor-cache.json'), 'utf8'));
    for (const [index, shard] of manifest.shards.entries()) {
      const data = await readFile(join(target, shard.dataPath));
      expect(data.byteLength).toBe(shard.byteLength);
      expect(createHash('sha256').update(data).digest('hex')).toBe(shard.sha256);
      expect(createHash('md5').update(data).digest('hex')).toBe(raw.records[index].md5sum);
    }
    expect(raw.metadata).toMatchObject({
      ParamSize: 89,
      ParamBytes: manifest.byteLength,
      scaleRule: 'absmax',
    });
    expect(await readFile(join(target, 'config.json'), 'utf8')).toBe(JSON.stringify(config));
    expect((await readdir(target)).toSorted()).toEqual([
      'chat_template.jinja',
      'config.json',
      'params_shard_0.bin',
      'tensor-cache.json',
    ]);
  });

  it.each(['q0f32', 'q0f16'] as const)('keeps every weight at %s', async (quantization) => {
    const { manifest, bytes } = await convert(await writeSingle(weights), { quantization });
    expect(manifest.tensors.size).toBe(weights.length);
    for (const { name, values } of weights) {
      const halves = new Uint16Array(values.length);
      narrowToFloat16(values, halves);
      const expected = quantization === 'q0f32' ? values : halves;
      expect(Buffer.compare(bytes(name), new Uint8Array(expected.buffer)), name).toBe(0);
    }
  });

  it('dequantises q8f16_1 to within half a step', async () => {
    const converted = await convert(await writeSingle(weights), { quantization: 'q8f16_1' });
    const { shape } = converted.manifest.tensors.get(`${GATE_UP}.q_weight`)!;
    expect(shape).toEqual([704, 64]);
    // A step is max / 127, about 0.0013 here; the rounding error's variance is a twelfth of its square.
    expect(squaredError(converted, GATE_UP, 'q8') / (704 * 256)).toBeLessThan(0.0013 ** 2 / 12);
  });

  it('finds scales whose squared error is below 0.75 of that of absmax in every linear', async () => {
    const source = await writeSingle(weights);
    const [plain, searched] = [await convert(source), await convert(source, { scaleRule: 'search' })];
    const linears = [...plain.manifest.tensors.keys()].filter((name) => name.endsWith('.q_weight'));
    for (const name of linears) {
      const base = name.slice(0, -'.q_weight'.length);
      expect(squaredError(searched, base) / squaredError(plain, base), base).toBeLessThan(0.75);
    }
  });

  it.each(['q4', 'q8'] as const)(
    'quantises the linears of the vision tower to %s on request',
    async (format) => {
      const { manifest } = await convert(await writeSingle(weights), { visionQuantization: format });
      const perWord = format === 'q4' ? 8 : 4;
      expect(manifest.tensors.get('model.visual.blocks.0.attn.qkv.q_weight')?.shape).toEqual([
        384,
        128 / perWord,
      ]);
      expect(manifest.tensors.get('model.visual.merger.down_proj.q_scale')?.shape).toEqual([256, 10]);
      expect(manifest.tensors.get('model.visual.patch_embed.proj.weight')?.dtype).toBe('float16');
      expect(manifest.tensors.get('model.visual.downsample.weight')?.dtype).toBe('float16');
    },
  );

  it.each(['F16', 'BF16'] as const)('reads %s weights', async (dtype) => {
    const source = await writeCheckpoint({ 'model.safetensors': toHalfFile(weights, dtype) });
    const { bytes } = await convert(source, { quantization: 'q0f32' });
    const { name, values } = weights[5]!;
    const bits = new Uint16Array(values.length);
    const expected = new Float32Array(values.length);
    (dtype === 'F16' ? narrowToFloat16 : narrowToBfloat16)(values, bits);
    (dtype === 'F16' ? widenFloat16 : widenBfloat16)(bits, expected);
    expect(Buffer.compare(bytes(name), new Uint8Array(expected.buffer))).toBe(0);
  });

  it('reads a checkpoint of several files by its index, and of older tensor names', async () => {
    const older = weights.map((tensor) => ({
      ...tensor,
      name: tensor.name.replace('model.visual.', 'visual.').replace('model.language_model.', 'model.'),
    }));
    const parts = [older.slice(0, 20), older.slice(20)];
    const weightMap = Object.fromEntries(
      parts.flatMap((part, i) => part.map(({ name }) => [name, `part-${i}.safetensors`])),
    );
    const split = await writeCheckpoint({
      'part-0.safetensors': toSafetensors(parts[0]!),
      'part-1.safetensors': toSafetensors(parts[1]!),
      'other.safetensors': 'not named by the index',
      'model.safetensors.index.json': JSON.stringify({ weight_map: weightMap }),
    });
    const [one, several] = [await convert(await writeSingle(weights)), await convert(split)];
    expect(several.manifest.shards).toEqual(one.manifest.shards);
    expect(await readdir(several.target)).not.toContain('model.safetensors.index.json');
    await rm(join(split, 'part-1.safetensors'));
    await expect(convert(split)).rejects.toMatchObject({ code: 'file-missing', value: 'part-1.safetensors' });
  });

  it('stores an all-zero group and subnormal weights without a division by zero', async () => {
    const changed = replace(`${GATE_UP}.weight`, ({ values }) => ({
      values: values.map((value, i) =>
        i < 32 ? 0 : i < 64 ? (i % 3) * 2 ** -24 : i < 96 ? 2 ** -30 : value,
      ),
    }));
    const source = await writeSingle(changed);
    for (const scaleRule of ['search', 'absmax'] as const) {
      const { bytes } = await convert(source, { scaleRule });
      const words = new Uint32Array(bytes(`${GATE_UP}.q_weight`).buffer);
      const scales = new Uint16Array(bytes(`${GATE_UP}.q_scale`).buffer);
      const values = new Float32Array(words.length * 8);
      dequantizeGroups(words, scales, values, 'q4');
      expect(Array.from(values.subarray(0, 32)), scaleRule).toEqual(Array.from({ length: 32 }, () => 0));
      expect(values.subarray(32, 96).every((value) => Math.abs(value) <= 2 ** -22)).toBe(true);
      expect(words[0]).toBe(0x77777777);
    }
  });
});

describe('convertCheckpoint refuses', () => {
  const bad: readonly [string, string, () => Promise<string>][] = [
    ['a missing tensor', 'tensor-missing', () => writeSingle(weights.slice(1))],
    [
      'an unknown tensor',
      'tensor-unknown',
      () =>
        writeSingle([
          ...weights,
          { ...weights[0]!, name: 'model.language_model.layers.9.mlp.down_proj.weight' },
        ]),
    ],
    [
      'a shape that contradicts the config',
      'tensor-shape',
      () => writeSingle(replace('lm_head.weight', () => ({ shape: [256, 1000] }))),
    ],
    [
      'NaN in a weight',
      'checkpoint-invalid',
      () =>
        writeSingle(
          replace(`${GATE_UP}.weight`, ({ values }) => ({
            values: values.map((v, i) => (i === 99 ? NaN : v)),
          })),
        ),
    ],
    [
      'infinity in a norm',
      'checkpoint-invalid',
      () =>
        writeSingle(
          replace('model.language_model.norm.weight', ({ values }) => ({
            values: values.map((v, i) => (i === 9 ? -Infinity : v)),
          })),
        ),
    ],
    [
      'a value that f16 cannot hold',
      'checkpoint-invalid',
      () =>
        writeSingle(
          replace('model.language_model.norm.weight', ({ values }) => ({
            values: values.map((v, i) => (i === 9 ? 7e4 : v)),
          })),
        ),
    ],
    [
      'a truncated file',
      'checkpoint-invalid',
      async () => {
        const folder = await writeSingle(weights);
        await truncate(join(folder, 'model.safetensors'), 11_000_000);
        return folder;
      },
    ],
    [
      'another architecture',
      'architecture-unsupported',
      () =>
        writeCheckpoint({
          'config.json': JSON.stringify({ ...config, architectures: ['LlamaForCausalLM'] }),
          'model.safetensors': toSafetensors(weights),
        }),
    ],
    ['a folder without weights', 'file-missing', () => writeCheckpoint({})],
    [
      'weights of integers',
      'tensor-dtype',
      async () => {
        const file = Buffer.from(toSafetensors(weights));
        file.write('I32', file.indexOf('F32'), 'latin1');
        return writeCheckpoint({ 'model.safetensors': file });
      },
    ],
    [
      'an index that points out of the folder',
      'checkpoint-invalid',
      () =>
        writeCheckpoint({
          'model.safetensors.index.json': JSON.stringify({
            weight_map: { 'lm_head.weight': '../x.safetensors' },
          }),
        }),
    ],
    [
      'an index that puts a tensor in the wrong file',
      'tensor-missing',
      () =>
        writeCheckpoint({
          'a.safetensors': toSafetensors(weights.slice(0, 9)),
          'b.safetensors': toSafetensors(weights.slice(9)),
          'model.safetensors.index.json': JSON.stringify({
            weight_map: { [weights[0]!.name]: 'b.safetensors', [weights[9]!.name]: 'a.safetensors' },
          }),
        }),
    ],
  ];
  it.each(bad)('%s', async (_, code, write) => {
    const source = await write();
    const before = await readdir(temporary.path);
    await expect(convert(source)).rejects.toMatchObject({ name: 'AutoglmError', code });
    expect(await readdir(temporary.path), 'nothing is left behind').toEqual(before);
  });

  it('an input width that groups of 32 do not divide', async () => {
    const narrow = { ...config, text_config: { ...config['text_config'], intermediate_size: 360 } };
    const tensors = weights.map((tensor) => {
      const shape = tensor.name.includes('gate_up')
        ? [720, 256]
        : tensor.name.includes('language_model.layers') && tensor.name.includes('down_proj')
          ? [256, 360]
          : tensor.shape;
      return { ...tensor, shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)) };
    });
    const source = await writeCheckpoint({
      'config.json': JSON.stringify(narrow),
      'model.safetensors': toSafetensors(tensors),
    });
    await expect(convert(source)).rejects.toMatchObject({ code: 'quantization-unsupported', value: 360 });
    await expect(convert(source, { quantization: 'q0f16' })).resolves.toBeDefined();
  });

  it('to write into a folder that holds files', async () => {
    const target = nextPath();
    await mkdir(target);
    await copyFile(join(referenceFolder('glm4v-b'), 'config.json'), join(target, 'config.json'));
    await expect(convert(await writeSingle(weights), { target })).rejects.toMatchObject({ code: 'usage' });
  });

  it('to go on after an abort, and leaves nothing behind', async () => {
    const source = await writeSingle(weights);
    const before = await readdir(temporary.path);
    const abort = new AbortController();
    const running = convert(source, { signal: abort.signal, onProgress: () => abort.abort() });
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    expect(await readdir(temporary.path)).toEqual(before);
  });
});
