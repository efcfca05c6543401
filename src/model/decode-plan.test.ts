/**
 * The decode step of the 9B model as its Plan: numbers that do not depend on the machine, so that CI sees a step that
 * grew. Whoever changes one changes it here, and says in `src/kernels/PERFORMANCE.md` what it measured.
 */
import { describe, expect, it } from 'vitest';
import type { Capabilities } from '../gpu/capabilities.ts';
import type { KernelCall } from '../kernels/kernel.ts';
import { programLabel } from '../gpu/shader-source.ts';
import { chooseCompileOptions, type CompileRequest, type DecodeReach } from './compile-options.ts';
import { compileDecode } from './compile-text.ts';
import { parseModelConfig } from './config.ts';
import type { Plan } from './plan.ts';
import { planBuffers } from './memory-plan.ts';
import { measurePlan } from './plan-cost.ts';
import { storedArrays, weightFormat } from './quantization.ts';
import { createSyntheticConfig } from './synthetic.ts';
import { expectedTensors } from './tensor-names.ts';
import { layOutWeights, type StoredTensor } from './weight-layout.ts';

/** A Hopper GPU in a stock Chrome on Linux. */
const STOCK: Capabilities = {
  adapter: { vendor: 'nvidia', architecture: '', device: '', description: '' },
  isSoftware: false,
  limits: {
    maxBufferBytes: 4 * 2 ** 30 - 4,
    maxBindingBytes: 2 * 2 ** 30 - 4,
    maxStorageBuffers: 16,
    maxWorkgroupStorageBytes: 49152,
    maxWorkgroupInvocations: 1024,
    maxWorkgroupsPerDimension: 65535,
    bindingAlignment: 256,
  },
  hasShaderF16: false,
  hasSubgroups: true,
  subgroupSizes: { min: 32, max: 32 },
  hasTimestamps: true,
  hasInt8Dot: true,
  hasSubgroupMatrix: false,
};

/** The same with the toggles that grant f16 and subgroup matrices. */
const WITH_F16: Capabilities = { ...STOCK, hasShaderF16: true, hasSubgroupMatrix: true };

/** What every WebGPU device grants, without subgroups. */
const LEAST: Capabilities = {
  ...STOCK,
  limits: {
    ...STOCK.limits,
    maxBufferBytes: 2 ** 28,
    maxBindingBytes: 2 ** 27,
    maxStorageBuffers: 8,
    maxWorkgroupStorageBytes: 16384,
    maxWorkgroupInvocations: 256,
  },
  hasSubgroups: false,
};

/** The 9B model and the options for it. */
function prepare(capabilities: Capabilities, request: Partial<CompileRequest> = {}) {
  const config = parseModelConfig(createSyntheticConfig());
  const tensors = expectedTensors(config).flatMap((tensor) =>
    storedArrays(tensor, weightFormat(tensor, 'q4f16_1', 'default')).map(
      ({ name, shape, dtype }): [string, StoredTensor] => [name, { name, shape, dtype }],
    ),
  );
  const layout = layOutWeights(config, new Map(tensors), capabilities.limits);
  const options = chooseCompileOptions(capabilities, { context: 4096, slots: 8, ...request });
  return { config, layout, options };
}

function compile(
  capabilities: Capabilities,
  columns: number,
  request?: Partial<CompileRequest>,
  reach?: DecodeReach,
): Plan {
  const { config, layout, options } = prepare(capabilities, request);
  return compileDecode(config, layout.text, options, columns, reach);
}

/** A row for each dispatch; layers that are the same as the first are one. */
function printPlan(plan: Plan): string {
  const blocks = new Map<string, string[]>();
  for (const call of plan.calls) {
    // The first norm, before any residual, is no part of the pattern.
    const isFirst = /input-norm|quantize/.test(call.label);
    const layer = (isFirst ? undefined : /^layer\.\d+/.exec(call.label)?.[0]) ?? call.label;
    blocks.set(layer, [...(blocks.get(layer) ?? []), printCall(call)]);
  }
  const lines: string[] = [];
  let previous = '';
  let repeats = 0;
  const flush = (): void => {
    if (repeats > 1) lines.push(`  ${repeats} times in all`);
  };
  for (const rows of blocks.values()) {
    const text = rows.join('\n');
    if (text === previous) {
      repeats++;
      continue;
    }
    flush();
    [previous, repeats] = [text, 1];
    lines.push(text);
  }
  flush();
  return lines.join('\n');
}

/** The products of the first layer, and the head's. */
function printProducts({ calls }: Plan): string {
  return calls
    .filter(({ label, bindings }) => /^(?:layer\.0\.|head)/.test(label) && 'x_codes' in bindings)
    .map(printCall)
    .join('\n');
}

function printCall({ label, program, grid, bindings }: KernelCall): string {
  const preludes = (program.preludes ?? []).map(({ name }) => name).join(' ');
  const { weightBytes } = measurePlan({
    name: '',
    calls: [{ label, program, grid, bindings }],
    scratch: new Map(),
  });
  const size = grid.map((extent) => (typeof extent === 'number' ? extent : extent.rows)).join(' x ');
  const weight = weightBytes === 0 ? '' : `, ${(weightBytes / 1e6).toFixed(1)} MB of weights`;
  const name = label.replace(/^layer\.\d+/, 'layer');
  return `${name}: ${program.shader} [${preludes}] ${size}, ${Object.keys(bindings).length} buffers${weight}`;
}

describe('The decode step of the 9B model', () => {
  it('has this shape on a Hopper GPU in a stock Chrome', () => {
    expect(printPlan(compile(STOCK, 1))).toMatchInlineSnapshot(`
      "embed: embed-tokens [row weight-q4] tokens x 1 x 1, 5 buffers
      layer.input-norm: rms-norm [reduce-subgroup] tokens x 1 x 1, 3 buffers
      layer.quantize: quantize-activations [round-int8 emit-int8] 8 x tokens x 1, 3 buffers
      layer.qkv: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-subgroup row cache-f16 append-quad store4-rope] 1152 x 1 x 1, 10 buffers, 10.6 MB of weights
      layer.attention.split: attention-split [row split-runs cache-f16] 132 x 2 x 1, 6 buffers
      layer.attention.combine: attention-combine-int8 [row split-runs reduce-subgroup round-int8 emit-int8] 128 x 1 x 1, 5 buffers
      layer.o: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-subgroup store4-plain] 1024 x 1 x 1, 5 buffers, 9.4 MB of weights
      layer.attention-norm: sandwich-norm-int8 [round-int8 emit-int8 reduce-subgroup] tokens x 1 x 1, 6 buffers
      layer.gate-up: gate-up-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-subgroup round-int8 emit-int8] 428 x 1 x 1, 6 buffers, 63.1 MB of weights
      layer.down: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-subgroup store4-plain] 1024 x 1 x 1, 5 buffers, 31.6 MB of weights
      layer: sandwich-norm-int8 [round-int8 emit-int8 reduce-subgroup] tokens x 1 x 1, 6 buffers
        40 times in all
      head: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-subgroup store4-plain] 18944 x 1 x 1, 5 buffers, 349.2 MB of weights"
    `);
  });

  it('takes rows in turn there for two to four sequences', () => {
    expect(printProducts(compile(STOCK, 4))).toMatchInlineSnapshot(`
      "layer.qkv: matvec-int8 [dot-group-int8 product-int8 quad-int8 columns-4 dot-turns-int8 row cache-f16 append-quad store4-rope] 576 x 1 x 1, 10 buffers, 10.6 MB of weights
      layer.o: matvec-int8 [dot-group-int8 product-int8 quad-int8 columns-4 dot-turns-int8 store4-plain] 512 x 1 x 1, 5 buffers, 9.4 MB of weights
      layer.gate-up: gate-up-int8 [dot-group-int8 product-int8 quad-int8 columns-4 dot-turns-int8 round-int8 emit-int8] 428 x 1 x 1, 6 buffers, 63.1 MB of weights
      layer.down: matvec-int8 [dot-group-int8 product-int8 quad-int8 columns-4 dot-turns-int8 store4-plain] 128 x 1 x 1, 5 buffers, 31.6 MB of weights
      head: matvec-int8 [dot-group-int8 product-int8 quad-int8 columns-4 dot-turns-int8 store4-plain] 2368 x 1 x 1, 5 buffers, 349.2 MB of weights"
    `);
    const products = [2, 3, 4].map((columns) =>
      printProducts(compile(STOCK, columns)).replaceAll(/columns-\d/g, 'columns'),
    );
    expect(new Set(products).size).toBe(1);
    expect(printProducts(compile(STOCK, 5))).toBe(printProducts(compile(STOCK, 1)));
    // The rows of `down` would need more invocations than these grant.
    const limits = { ...STOCK.limits, maxWorkgroupInvocations: 256 };
    const narrow = printProducts(compile({ ...STOCK, limits }, 4));
    expect(narrow.match(/dot-\w+(?=-int8)/g)?.filter((name) => name !== 'dot-group')).toEqual([
      'dot-turns',
      'dot-turns',
      'dot-turns',
      'dot-rows',
      'dot-turns',
    ]);
  });

  it.each([
    ['few large ones for each of two to four sequences', 'near', [33, 33, 33], 256],
    ['as many for them together as for one where it reaches far', 'far', [66, 44, 33], 128],
  ] as const)('has splits: %s', (_, reach, splits, workgroup) => {
    const splitOf = (columns: number): unknown => {
      const { calls } = compile(STOCK, columns, {}, reach);
      const split = calls.find(({ label }) => label === 'layer.0.attention.split');
      return [split?.grid, split?.program.shader, split?.program.shape?.['WORKGROUP']];
    };
    expect([2, 3, 4].map(splitOf)).toEqual(
      splits.map((count, index) => [[count, 2, index + 2], 'attention-split', workgroup]),
    );
    expect([1, 5].map(splitOf)).toEqual([1, 5].map((columns) => [[132, 2, columns], 'attention-split', 128]));
  });

  it('is the same with f16 and subgroup matrices, which it does not use', () => {
    expect(printPlan(compile(WITH_F16, 1))).toBe(printPlan(compile(STOCK, 1)));
  });

  it('has this shape where nothing optional is granted', () => {
    expect(printPlan(compile(LEAST, 1))).toMatchInlineSnapshot(`
      "embed: embed-tokens [row weight-q4] tokens x 1 x 1, 5 buffers
      embed: embed-tokens [row weight-q4] tokens x 1 x 1, 5 buffers
      embed: embed-tokens [row weight-q4] tokens x 1 x 1, 5 buffers
      layer.input-norm: rms-norm [reduce-workgroup] tokens x 1 x 1, 3 buffers
      layer.quantize: quantize-activations [round-int8 emit-int8] 8 x tokens x 1, 3 buffers
      layer.qkv: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-workgroup store4-plain] 1152 x 1 x 1, 5 buffers, 10.6 MB of weights
      layer.rope: rope-append [row cache-f16 append-quad] 18 x tokens x 1, 7 buffers
      layer.attention.split: attention-decode [row split-runs cache-f16] 128 x 2 x 1, 6 buffers
      layer.attention.combine: attention-combine-int8 [row split-runs reduce-workgroup round-int8 emit-int8] 128 x 1 x 1, 5 buffers
      layer.o: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-workgroup store4-plain] 1024 x 1 x 1, 5 buffers, 9.4 MB of weights
      layer.attention-norm: sandwich-norm-int8 [round-int8 emit-int8 reduce-workgroup] tokens x 1 x 1, 6 buffers
      layer.gate-up: gate-up-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-workgroup round-int8 emit-int8] 428 x 1 x 1, 6 buffers, 63.1 MB of weights
      layer.down: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-workgroup store4-plain] 1024 x 1 x 1, 5 buffers, 31.6 MB of weights
      layer: sandwich-norm-int8 [round-int8 emit-int8 reduce-workgroup] tokens x 1 x 1, 6 buffers
        40 times in all
      head: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-workgroup store4-plain] 8192 x 1 x 1, 5 buffers, 151.0 MB of weights
      head: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-workgroup store4-plain] 8192 x 1 x 1, 5 buffers, 151.0 MB of weights
      head: matvec-int8 [dot-group-int8 product-int8 dot-rows-int8 lanes-workgroup store4-plain] 2560 x 1 x 1, 5 buffers, 47.2 MB of weights"
    `);
  });

  const layerTiling = { workgroups: 132, workgroup: 512, splits: 64 };
  it.each([
    ['is one dispatch a layer where workgroups may wait for each other', 'near', 45],
    ['is two dispatches a layer there where it reaches far', 'far', 85],
  ] as const)('%s', (_, reach, expectedDispatches) => {
    const plan = compile(STOCK, 1, { layerTiling }, reach);
    const { dispatches, weightBytes } = measurePlan(plan);
    expect({ dispatches, weightBytes }).toEqual({
      dispatches: expectedDispatches,
      weightBytes: 4_938_006_528,
    });
    const neighbours = plan.calls.filter(({ program }) => program.shader === 'decode-layer');
    neighbours.forEach(({ bindings }, index) => {
      const before = neighbours.at(index - 1)?.bindings;
      // A layer clears the mail of the one before it, the first of a step that of the last.
      expect(bindings['old_mail']).toEqual(before?.['mail']);
      expect(bindings['mail']).not.toEqual(bindings['old_mail']);
    });
  });

  it('has programs and mail of its own where it reaches far, and else the same buffers', () => {
    const [near, far] = (['near', 'far'] as const).map((reach) => compile(STOCK, 1, { layerTiling }, reach));
    const labels = ({ calls }: Plan): Set<string> =>
      new Set(
        calls.filter(({ label }) => /^layer\.\d+$/.test(label)).map(({ program }) => programLabel(program)),
      );
    // With the next layer's qkv, and with the head's input.
    expect(labels(near).size).toBe(2);
    expect(labels(far).size).toBe(2);
    expect([...labels(near)].filter((label) => labels(far).has(label))).toEqual([]);
    const wide = compile(STOCK, 8);
    const own = [...far.scratch].filter(([name, { byteLength }]) => {
      const known = Math.max(...[near, wide].map(({ scratch }) => scratch.get(name)?.byteLength ?? 0));
      return known < byteLength;
    });
    expect(own.map(([name]) => name)).toEqual(['far-mail.0', 'far-mail.1']);
    expect(Math.max(...own.map(([, { byteLength }]) => byteLength))).toBeLessThan(110_000);
  });

  it.each([
    ['near', 2048, ['near']],
    ['near and far', 25_600, ['near', 'far']],
  ] as const)('has its memory planned before a device has counted workgroups: %s', (_, context, reaches) => {
    const { config, layout, options } = prepare(STOCK, { context });
    const planned = planBuffers(config, layout, options);
    for (const reach of reaches) {
      const { scratch } = compile(STOCK, 1, { context, layerTiling }, reach);
      const missing = [...scratch].filter(
        ([name, { byteLength }]) => (planned.get(name)?.byteLength ?? 0) < byteLength,
      );
      expect(missing).toEqual([]);
      const mail = `${reach}-mail.0`;
      expect(planned.get(mail)).toEqual(scratch.get(mail));
    }
    expect(planned.has('far-mail.0')).toBe(context > 2048);
  });

  it('has its memory planned for each number of columns that CUDA has in one kernel', () => {
    const hopper = { ...WITH_F16, cuda: { computeCapability: 9, multiprocessors: 132 } };
    const { config, layout, options } = prepare(hopper);
    const planned = planBuffers(config, layout, options);
    for (const columns of [1, 2, 3, 4]) {
      const { scratch, calls } = compile(hopper, columns);
      expect(calls.map(({ label }) => label)).toEqual(['embed', 'step']);
      expect([...scratch].filter(([name]) => !planned.has(name))).toEqual([]);
      // 64 splits of 32 heads of 128 values in f16.
      expect(planned.get(`step-${columns}.sent_parts`)?.byteLength).toBe(columns * 64 * 32 * 128 * 2);
    }
  });

  it.each([
    ['stock, 1 column', STOCK, 1],
    ['stock, 4 columns', STOCK, 4],
    ['stock, 8 columns', STOCK, 8],
    ['nothing optional, 1 column', LEAST, 1],
  ] as const)('costs what it did: %s', (name, capabilities, columns) => {
    const { dispatches, weightBytes } = measurePlan(compile(capabilities, columns));
    // Every weight once, however many columns there are: 4.5 bits for each of 8.78 billion.
    expect(weightBytes).toBe(4_938_006_528);
    expect(dispatches).toBe(name.startsWith('stock') ? 324 : 368);
  });
});
