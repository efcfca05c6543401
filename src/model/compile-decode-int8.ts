import { roundUp } from '../base/maths.ts';
import { attentionDecodeInt8, splitKeys } from '../kernels/attention-decode.ts';
import type { SplitKeysOptions } from '../kernels/attention-split.ts';
import { decodeLayer, layerMail, type LayerTiling } from '../kernels/decode-layer.ts';
import { embedTokens } from '../kernels/embed-tokens.ts';
import { gateUpInt8 } from '../kernels/gate-up-int8.ts';
import { INT8_GROUP, int8Words, type Int8Activations } from '../kernels/int8-activations.ts';
import type { BufferRef, KernelCall, WeightMatrix } from '../kernels/kernel.ts';
import { matvecInt8, ropeQkvInt8 } from '../kernels/matvec-int8.ts';
import { quantizeActivations } from '../kernels/quantize-activations.ts';
import { rmsNorm } from '../kernels/rms-norm.ts';
import { ropeAppend } from '../kernels/rope-append.ts';
import { keepsColumns, type RowTiling } from '../kernels/row-tiling.ts';
import { sandwichNormInt8 } from '../kernels/sandwich-norm-int8.ts';
import { swigluInt8 } from '../kernels/swiglu-int8.ts';
import type { CompileOptions, DecodeReach, Int8Tilings } from './compile-options.ts';
import type { TextConfig } from './config.ts';
import type { PlanBuilder } from './plan.ts';
import { ROW_WORDS } from './step.ts';
import { addKeyValueCache, MAX_COLUMNS, TEXT_BUFFERS } from './text-buffers.ts';
import type { TextLayerWeights, TextWeights } from './weight-layout.ts';

/** What the int8 decode step is compiled with. */
export interface DecodeInt8Compiler {
  readonly builder: PlanBuilder;
  readonly config: TextConfig;
  readonly options: CompileOptions;
  /** Sequences of the step. */
  readonly columns: number;
}

/**
 * Whether a decode step multiplies int8 digits of the activations: it is to, every width is a multiple of the groups and every
 * matrix has 4-bit weights.
 */
export function usesInt8(
  { C, D, F }: TextConfig,
  { layers, head }: TextWeights,
  { arithmetic }: CompileOptions,
): boolean {
  const matrices = [head, ...layers.flatMap(({ qkv, o, gateUp, down }) => [qkv, o, gateUp, down])];
  return (
    arithmetic === 'int8' &&
    [C, D, F].every((width) => width % INT8_GROUP === 0) &&
    matrices.every(({ format }) => format === 'q4')
  );
}

/** Adds a decode step from tokens to the head's input, which it returns. */
export function addDecodeInt8(
  compiler: DecodeInt8Compiler,
  weights: TextWeights,
  reach: DecodeReach,
): Int8Activations {
  const { builder, config, columns } = compiler;
  const { C } = config;
  const rows = builder.buffer(TEXT_BUFFERS.decodeRows, MAX_COLUMNS * ROW_WORDS);
  const { layerTiling } = compiler.options;
  const whole = columns === 1 && layerTiling ? addStreams(compiler) : undefined;
  const hidden = whole?.hidden ?? builder.buffer(TEXT_BUFFERS.hidden, columns * C);
  const normed = builder.buffer(TEXT_BUFFERS.normed, columns * C);
  const features = builder.buffer(TEXT_BUFFERS.features, C);
  const x = addActivations(compiler, 'normed', C);
  builder.add(
    ...embedTokens({ label: 'embed', table: weights.embedding, rows, features, hidden }),
    rmsNorm({
      ...rowOptions(compiler, 'layer.0.input-norm'),
      x: hidden,
      weight: weights.layers[0].inputNorm,
      y: normed,
    }),
    quantizeActivations({ label: 'layer.0.quantize', rows: 'tokens', K: C, x: normed, y: x }),
  );
  if (whole && layerTiling) {
    addWholeLayers(compiler, weights, { rows, x, ...whole, tiling: layerTiling, reach });
    return x;
  }
  weights.layers.forEach((layer, index) => {
    const next = weights.layers[index + 1];
    addAttention(compiler, layer, index, { rows, hidden, x, reach });
    addMlp(compiler, layer, `layer.${index}`, {
      hidden,
      x,
      nextNorm: next?.inputNorm ?? weights.finalNorm,
    });
  });
  return x;
}

/** What whole layers hand to each other. */
interface Streams {
  /** [H, D] queries, then [C] the residual stream: a layer reads one and writes the other, which some may still read. */
  readonly streams: readonly [BufferRef, BufferRef];
  /** Both parts of the first one. */
  readonly q: BufferRef;
  readonly hidden: BufferRef;
}

function addStreams({ builder, config }: DecodeInt8Compiler): Streams {
  const { C, H, D } = config;
  const streams = [builder.buffer('stream.0', H * D + C), builder.buffer('stream.1', H * D + C)] as const;
  return {
    streams,
    q: queriesOf(streams[0], config),
    hidden: { ...streams[0], byteOffset: H * D * 4, byteLength: C * 4 },
  };
}

function queriesOf(stream: BufferRef, { H, D }: TextConfig): BufferRef {
  return { ...stream, byteLength: H * D * 4 };
}

/**
 * Adds the layers in a dispatch each, from attention to what the next layer's attention reads; where the step is to reach
 * far, with one more for attention's splits.
 */
function addWholeLayers(
  compiler: DecodeInt8Compiler,
  { layers, finalNorm }: TextWeights,
  refs: Streams & { rows: BufferRef; x: Int8Activations; tiling: LayerTiling; reach: DecodeReach },
): void {
  const { builder, config, options, columns } = compiler;
  const { rows, x, tiling, streams, q, reach } = refs;
  const { H, D } = config;
  const { splits } = options;
  const attended =
    reach === 'far'
      ? {
          splits,
          partialOutput: builder.buffer('partial-output', H * splits * D),
          partialStats: builder.buffer('partial-stats', H * splits * 2),
        }
      : undefined;
  const rope = builder.buffer(TEXT_BUFFERS.rope, options.context * config.rotaryDimensions);
  // Each form's own, which only its own layers clear.
  const mail = (index: number): BufferRef =>
    builder.buffer(
      `${reach}-mail.${mailOf(index, layers.length)}`,
      layerMail(config, attended ? 0 : tiling.splits).words,
    );
  const turn = { ...config, ...options, rows, columns };
  const first = addKeyValueCache(builder, config, options, 0);
  builder.add(...addQkv(compiler, layers[0], 'layer.0', { rows, q, x, ...first }));
  layers.forEach((layer, index) => {
    const label = `layer.${index}`;
    const next = layers[index + 1];
    const stream = streams[index % 2];
    const cache = addKeyValueCache(builder, config, options, index);
    if (attended) {
      const split = { ...turn, ...attended, ...cache, tiling: options.splitTiling };
      builder.add(splitKeys({ ...split, label: `${label}.attention`, q: queriesOf(stream, config) }));
    }
    builder.add(
      decodeLayer({
        ...turn,
        label,
        stream,
        attended,
        ...cache,
        epsilon: config.rmsNormEpsilon,
        tiling,
        weights: layer,
        mail: mail(index),
        oldMail: mail((index + layers.length - 1) % layers.length),
        end: next
          ? {
              norm: next.inputNorm,
              qkv: next.qkv,
              qkvBias: next.qkvBias,
              rope,
              stream: streams[(index + 1) % 2],
              ...addKeyValueCache(builder, config, options, index + 1),
            }
          : { norm: finalNorm, head: x },
      }),
    );
  });
}

/** Neighbouring layers, and the last and the first, have different mail. */
function mailOf(index: number, count: number): number {
  return index === count - 1 && index % 2 === 0 ? 2 : index % 2;
}

/** Adds the head's product from f32 or int8 rows. */
export function addHeadInt8(
  compiler: DecodeInt8Compiler,
  weights: TextWeights,
  input: { readonly x: Int8Activations } | { readonly rows: BufferRef },
): void {
  const { builder, config, columns } = compiler;
  const y = builder.buffer(TEXT_BUFFERS.logits, columns * config.V);
  if ('x' in input) {
    builder.add(...matvecInt8({ ...productOptions(compiler, 'head', 'head', weights.head), x: input.x, y }));
    return;
  }
  const x = addActivations(compiler, 'normed', config.C);
  builder.add(
    quantizeActivations({ label: 'head.quantize', rows: 'tokens', K: config.C, x: input.rows, y: x }),
    ...matvecInt8({ ...productOptions(compiler, 'head', 'head', weights.head), x, y }),
  );
}

function addAttention(
  compiler: DecodeInt8Compiler,
  layer: TextLayerWeights,
  index: number,
  refs: { rows: BufferRef; hidden: BufferRef; x: Int8Activations; reach: DecodeReach },
): void {
  const { builder, config, options, columns } = compiler;
  const { C, H, D } = config;
  const label = `layer.${index}`;
  const { rows, hidden, x, reach } = refs;
  const q = builder.buffer('q', columns * H * D);
  const cache = addKeyValueCache(builder, config, options, index);
  const attended = addActivations(compiler, 'attended', H * D);
  const projected = builder.buffer('projected', columns * C);
  builder.add(
    ...addQkv(compiler, layer, label, { rows, q, x, ...cache }),
    ...attentionDecodeInt8({
      label: `${label}.attention`,
      ...config,
      ...options,
      ...splitsOf(compiler, reach),
      columns,
      rows,
      q,
      ...cache,
      // Of that size for all splits, so that the widest step needs the largest.
      partialOutput: builder.buffer('partial-output', columns * H * options.splits * D),
      partialStats: builder.buffer('partial-stats', columns * H * options.splits * 2),
      output: attended,
    }),
    ...matvecInt8({ ...productOptions(compiler, 'o', `${label}.o`, layer.o), x: attended, y: projected }),
    sandwichNormInt8({
      ...rowOptions(compiler, `${label}.attention-norm`),
      x: projected,
      postWeight: layer.postAttentionNorm,
      preWeight: layer.preMlpNorm,
      hidden,
      y: x,
    }),
  );
}

/** Few keys of each of a few sequences are split as if there were so many: of two, more splits took longer. */
const NEAR_SHARES = 4;

/** How the keys of one sequence and KV head are split; a few sequences have as many splits together as one has. */
function splitsOf(
  { options: { splits, splitTiling, turns }, columns }: DecodeInt8Compiler,
  reach: DecodeReach,
): Pick<SplitKeysOptions, 'splits' | 'tiling'> {
  if (!turns || !keepsColumns(columns)) return { splits, tiling: splitTiling };
  return reach === 'near' && turns.nearTiling
    ? { splits: Math.ceil(splits / NEAR_SHARES), tiling: turns.nearTiling }
    : { splits: Math.ceil(splits / columns), tiling: splitTiling };
}

function addQkv(
  compiler: DecodeInt8Compiler,
  layer: TextLayerWeights,
  label: string,
  refs: { rows: BufferRef; q: BufferRef; x: Int8Activations; keys: BufferRef; values: BufferRef },
): KernelCall[] {
  const { builder, config, options, columns } = compiler;
  const { x, ...targets } = refs;
  const rope = builder.buffer(TEXT_BUFFERS.rope, options.context * config.rotaryDimensions);
  const product = productOptions(compiler, 'qkv', `${label}.qkv`, layer.qkv);
  const turn = { ...config, ...options, ...targets, rope, bias: layer.qkvBias };
  if (options.fusesRope) return ropeQkvInt8({ ...turn, ...product, x });
  const qkv = builder.buffer('qkv', columns * layer.qkv.N);
  return [...matvecInt8({ ...product, x, y: qkv }), ropeAppend({ ...turn, label: `${label}.rope`, qkv })];
}

function addMlp(
  compiler: DecodeInt8Compiler,
  layer: TextLayerWeights,
  label: string,
  refs: { hidden: BufferRef; x: Int8Activations; nextNorm: BufferRef },
): void {
  const { builder, config, columns } = compiler;
  const { C, F } = config;
  const { hidden, x, nextNorm } = refs;
  const activated = addActivations(compiler, 'activated', F);
  const projected = builder.buffer('projected', columns * C);
  builder.add(
    ...addGateUp(compiler, label, { weight: layer.gateUp, x, y: activated }),
    ...matvecInt8({
      ...productOptions(compiler, 'down', `${label}.down`, layer.down),
      x: activated,
      y: projected,
    }),
    sandwichNormInt8({
      ...rowOptions(compiler, label),
      x: projected,
      postWeight: layer.postMlpNorm,
      preWeight: nextNorm,
      hidden,
      y: x,
    }),
  );
}

/** Adds the gate and up products with SwiGLU, whose weight may be in parts. */
export function addGateUp(
  compiler: DecodeInt8Compiler,
  label: string,
  { weight, x, y }: { weight: WeightMatrix; x: Int8Activations; y: Int8Activations },
): KernelCall[] {
  const { builder, config, columns } = compiler;
  const { F } = config;
  const product = productOptions(compiler, 'gateUp', `${label}.gate-up`, weight);
  if (weight.parts.length === 1) return [gateUpInt8({ ...product, x, y })];
  const gateUp = builder.buffer('gate-up', columns * 2 * F);
  return [
    ...matvecInt8({ ...product, x, y: gateUp }),
    swigluInt8({ label: `${label}.swiglu`, rows: 'tokens', F, x: gateUp, y }),
  ];
}

/** Names the buffers of a step's activations of K values in int8 digits. */
export function addActivations(
  { builder, columns }: DecodeInt8Compiler,
  name: string,
  K: number,
): Int8Activations {
  const words = int8Words(columns * K);
  return {
    codes: builder.buffer(`${name}.codes`, words.codes),
    totals: builder.buffer(`${name}.totals`, words.totals),
  };
}

/** What a product is compiled with, in the tiling that the options have for it. */
export function productOptions(
  compiler: DecodeInt8Compiler,
  kind: keyof Int8Tilings,
  label: string,
  weight: WeightMatrix,
) {
  const { reduction, leastSubgroup } = compiler.options;
  const tiling = tilingOf(compiler, kind, weight);
  return { label, columns: compiler.columns, weight, reduction, leastSubgroup, tiling } as const;
}

function tilingOf(
  { options, columns }: DecodeInt8Compiler,
  kind: keyof Int8Tilings,
  { K }: WeightMatrix,
): RowTiling {
  const { turns, leastSubgroup, int8Tilings } = options;
  const lanes = roundUp(K / INT8_GROUP, leastSubgroup);
  return turns && keepsColumns(columns) && lanes <= turns.mostLanes
    ? { ...turns.sets[kind], lanes, inTurn: true }
    : int8Tilings[kind];
}

function rowOptions({ config, options }: DecodeInt8Compiler, label: string) {
  const { C, rmsNormEpsilon: epsilon } = config;
  return {
    label,
    rows: 'tokens',
    C,
    epsilon,
    reduction: options.reduction,
    workgroup: options.rowWorkgroup,
  } as const;
}
