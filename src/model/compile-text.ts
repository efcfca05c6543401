import { attentionDecode } from '../kernels/attention-decode.ts';
import { embedTokens } from '../kernels/embed-tokens.ts';
import type { BufferRef, KernelCall, WeightMatrix } from '../kernels/kernel.ts';
import type { Int8Rows } from '../kernels/int8-activations.ts';
import { fitsMatmulInt8, matmulInt8 } from '../kernels/matmul-int8.ts';
import { rmsNorm } from '../kernels/rms-norm.ts';
import { ropeAppend } from '../kernels/rope-append.ts';
import { sandwichNorm } from '../kernels/sandwich-norm.ts';
import { sandwichNormInt8 } from '../kernels/sandwich-norm-int8.ts';
import { swigluInt8 } from '../kernels/swiglu-int8.ts';
import { swiglu } from '../kernels/swiglu.ts';
import { compileCudaDecode, compileCudaHead, compileCudaPrefill } from './compile-cuda-text.ts';
import { reachesFar, type CompileOptions, type DecodeReach } from './compile-options.ts';
import type { ModelConfig, TextConfig } from './config.ts';
import { attendMany, digitRows, multiply, multiplyColumns, type ManyRowsCompiler } from './multiply.ts';
import { PlanBuilder, type Plan } from './plan.ts';
import { ROW_WORDS, STEP_WORDS } from './step.ts';
import { addDecodeInt8, addHeadInt8, usesInt8 } from './compile-decode-int8.ts';
import { addKeyValueCache, MAX_COLUMNS, mostColumns, TEXT_BUFFERS } from './text-buffers.ts';
import type { TextLayerWeights, TextWeights } from './weight-layout.ts';

interface TextCompiler {
  readonly builder: PlanBuilder;
  readonly config: TextConfig;
  readonly options: CompileOptions;
  /** Most rows of the step. */
  readonly T: number;
  /** Sequences of a decode step; undefined for a prefill chunk. */
  readonly columns: number | undefined;
  /** Norms and SwiGLU round their output themselves for the int8 product that follows. */
  readonly emitsDigits: boolean;
}

/** One chunk of a prompt of one sequence: fills the KV cache and leaves the last norm's output. */
export function compilePrefill(config: ModelConfig, weights: TextWeights, options: CompileOptions): Plan {
  if (options.target === 'cuda') return compileCudaPrefill(config, weights, options);
  const builder = new PlanBuilder('prefill');
  const T = options.prefillChunk;
  const emitsDigits = takesDigits(weights, options);
  compileDecoder({ builder, config: config.text, options, T, columns: undefined, emitsDigits }, weights);
  return builder.build();
}

/**
 * What a prompt's last row still needs for its logits once a chunk has gone through `rope` of the last layer, which leaves
 * everything in the cache that later tokens see: the same calls as `compilePrefill`'s from there on, for that row alone.
 * Its queries and its residual stream must have been copied to the buffers of the last row.
 */
export function compilePromptEnd(config: ModelConfig, prefill: Plan): Plan {
  const { H, D, C } = config.text;
  const builder = new PlanBuilder('end of a prompt');
  const { step, queries, hidden } = TEXT_BUFFERS;
  const renamed = new Map([
    [step, builder.buffer(TEXT_BUFFERS.lastStep, STEP_WORDS, 'uniform')],
    [queries, builder.buffer(TEXT_BUFFERS.lastQueries, H * D)],
    [hidden, builder.buffer(TEXT_BUFFERS.lastHidden, C)],
  ] as [string, BufferRef][]);
  const rope = lastRope(config);
  const first = prefill.calls.findLastIndex(({ label }) => label === rope) + 1;
  for (const call of prefill.calls.slice(first)) {
    const bindings = Object.entries(call.bindings).map(([name, ref]) => [
      name,
      renamed.get(ref.buffer) ?? ref,
    ]);
    builder.add({ ...call, bindings: Object.fromEntries(bindings) });
  }
  return builder.build();
}

/** Label of the call after which all keys and values of a chunk are in the cache. */
export function lastRope({ text }: ModelConfig): string {
  return `layer.${text.L - 1}.rope`;
}

/** One token each of `columns` sequences, up to the logits; `far` differs from `near` where `reachesFar` says so. */
export function compileDecode(
  config: ModelConfig,
  weights: TextWeights,
  options: CompileOptions,
  columns: number,
  reach: DecodeReach = 'near',
): Plan {
  if (options.target === 'cuda') return compileCudaDecode(config, weights, options, columns);
  const builder = new PlanBuilder(`decode x${columns}${reach === 'far' ? ', far' : ''}`);
  const compiler = { builder, config: config.text, options, T: columns, columns, emitsDigits: false };
  if (usesInt8(config.text, weights, options)) {
    addHeadInt8(compiler, weights, { x: addDecodeInt8(compiler, weights, reach) });
    return builder.build();
  }
  const { normed } = compileDecoder(compiler, weights);
  addHead(compiler, weights, normed);
  return builder.build();
}

/** The decode steps that need the most of each buffer. */
export function compileDecodes(config: ModelConfig, weights: TextWeights, options: CompileOptions): Plan[] {
  const most = mostColumns(options);
  const inOneKernel = options.target === 'cuda' ? Math.min(options.stepKernelColumns, most) : 0;
  const widths = new Set([
    most,
    // Whole layers exchange through buffers of their own, and so does a step in one kernel of each number of columns.
    ...(options.layerTiling ? [1] : []),
    ...Array.from({ length: inOneKernel }, (_, index) => index + 1),
  ]);
  const near = [...widths].map((columns) => compileDecode(config, weights, options, columns));
  return reachesFar(options, 1) ? [...near, compileDecode(config, weights, options, 1, 'far')] : near;
}

/** Logits of `columns` rows that were copied to the head's input. */
export function compileHead(
  config: ModelConfig,
  weights: TextWeights,
  options: CompileOptions,
  columns: number,
): Plan {
  if (options.target === 'cuda') return compileCudaHead(config, weights, options, columns);
  const builder = new PlanBuilder(`head x${columns}`);
  const compiler = { builder, config: config.text, options, T: columns, columns, emitsDigits: false };
  const rows = builder.buffer(TEXT_BUFFERS.headInput, MAX_COLUMNS * config.text.C);
  if (usesInt8(config.text, weights, options)) addHeadInt8(compiler, weights, { rows });
  else addHead(compiler, weights, rows);
  return builder.build();
}

/** Whether all products of a prompt take int8 digits. */
function takesDigits({ layers }: TextWeights, { manyRows }: CompileOptions): boolean {
  const fits = ({ qkv, gateUp, down }: TextLayerWeights): boolean =>
    [qkv, gateUp, down].every(fitsMatmulInt8);
  return manyRows === 'int8' && layers.every(fits);
}

function addHead(compiler: TextCompiler, weights: TextWeights, x: BufferRef): void {
  const { builder, config, T } = compiler;
  const logits = builder.buffer(TEXT_BUFFERS.logits, T * config.V);
  builder.add(...project(compiler, 'head', weights.head, x, logits));
}

function compileDecoder(compiler: TextCompiler, weights: TextWeights): { normed: BufferRef } {
  const { builder, config, options, T } = compiler;
  const { C } = config;
  const rows =
    compiler.columns === undefined
      ? builder.buffer(TEXT_BUFFERS.promptRows, T * ROW_WORDS)
      : builder.buffer(TEXT_BUFFERS.decodeRows, MAX_COLUMNS * ROW_WORDS);
  builder.buffer(TEXT_BUFFERS.step, STEP_WORDS, 'uniform');
  const hidden = builder.buffer(TEXT_BUFFERS.hidden, T * C);
  const normed = builder.buffer(TEXT_BUFFERS.normed, T * C);
  const features = builder.buffer(TEXT_BUFFERS.features, T * C);
  builder.add(...embedTokens({ label: 'embed', table: weights.embedding, rows, features, hidden }));
  builder.add(
    rmsNorm({
      label: 'layer.0.input-norm',
      rows: 'tokens',
      C,
      epsilon: config.rmsNormEpsilon,
      reduction: options.reduction,
      workgroup: options.rowWorkgroup,
      x: hidden,
      weight: weights.layers[0].inputNorm,
      y: normed,
    }),
  );
  const digits = compiler.emitsDigits ? digitRows(promptCompiler(compiler), T, C) : undefined;
  weights.layers.forEach((layer, index) => {
    const next = weights.layers[index + 1];
    addAttention(compiler, layer, index, {
      rows,
      hidden,
      x: index > 0 && digits ? digits : normed,
      y: digits ?? normed,
    });
    addMlp(compiler, layer, index, {
      hidden,
      x: digits ?? normed,
      nextNorm: next?.inputNorm ?? weights.finalNorm,
      // The head takes f32.
      y: next && digits ? digits : normed,
    });
  });
  return { normed };
}

function addAttention(
  compiler: TextCompiler,
  layer: TextLayerWeights,
  index: number,
  { rows, hidden, x, y }: { rows: BufferRef; hidden: BufferRef; x: RowInput; y: RowInput },
): void {
  const { builder, config, options, T } = compiler;
  const { C, H, KV, D } = config;
  const label = `layer.${index}`;
  const qkv = builder.buffer('qkv', T * (H + 2 * KV) * D);
  const q = builder.buffer(TEXT_BUFFERS.queries, T * H * D);
  const attended = builder.buffer('attended', T * H * D);
  const projected = builder.buffer('projected', T * C);
  const cache = addKeyValueCache(builder, config, options, index);
  builder.add(...project(compiler, `${label}.qkv`, layer.qkv, x, qkv));
  builder.add(
    ropeAppend({
      label: `${label}.rope`,
      ...config,
      ...options,
      qkv,
      bias: layer.qkvBias,
      rope: builder.buffer(TEXT_BUFFERS.rope, options.context * config.rotaryDimensions),
      rows,
      q,
      ...cache,
    }),
  );
  builder.add(...attend(compiler, `${label}.attention`, { rows, q, ...cache, output: attended }));
  builder.add(...project(compiler, `${label}.o`, layer.o, attended, projected));
  builder.add(
    addNorms(compiler, `${label}.attention-norm`, {
      x: projected,
      postWeight: layer.postAttentionNorm,
      preWeight: layer.preMlpNorm,
      hidden,
      y,
    }),
  );
}

function addMlp(
  compiler: TextCompiler,
  layer: TextLayerWeights,
  index: number,
  { hidden, x, nextNorm, y }: { hidden: BufferRef; x: RowInput; nextNorm: BufferRef; y: RowInput },
): void {
  const { builder, config, T } = compiler;
  const { C, F } = config;
  const label = `layer.${index}`;
  const gateUp = builder.buffer('gate-up', T * 2 * F);
  const projected = builder.buffer('projected', T * C);
  const activation = { label: `${label}.swiglu`, rows: 'tokens', F, x: gateUp } as const;
  builder.add(...project(compiler, `${label}.gate-up`, layer.gateUp, x, gateUp));
  let activated: RowInput;
  if (compiler.emitsDigits) {
    activated = digitRows(promptCompiler(compiler), T, F);
    builder.add(swigluInt8({ ...activation, y: activated }));
  } else {
    activated = builder.buffer('activated', T * F);
    builder.add(swiglu({ ...activation, y: activated }));
  }
  builder.add(...project(compiler, `${label}.down`, layer.down, activated, projected));
  builder.add(
    addNorms(compiler, label, {
      x: projected,
      postWeight: layer.postMlpNorm,
      preWeight: nextNorm,
      hidden,
      y,
    }),
  );
}

/** Rows of activations that a product takes: f32, or int8 digits in a prompt. */
type RowInput = BufferRef | Int8Rows;

function addNorms(
  { config, options }: TextCompiler,
  label: string,
  refs: { x: BufferRef; postWeight: BufferRef; preWeight: BufferRef; hidden: BufferRef; y: RowInput },
): KernelCall {
  const common = {
    label,
    rows: 'tokens',
    C: config.C,
    epsilon: config.rmsNormEpsilon,
    reduction: options.reduction,
    workgroup: options.rowWorkgroup,
  } as const;
  const { y, ...others } = refs;
  return 'codes' in y
    ? sandwichNormInt8({ ...common, ...others, y })
    : sandwichNorm({ ...common, ...others, y });
}

function promptCompiler({ builder, options }: TextCompiler): ManyRowsCompiler {
  return { builder, options, scratch: 'prefill' };
}

function attend(
  compiler: TextCompiler,
  label: string,
  refs: { rows: BufferRef; q: BufferRef; keys: BufferRef; values: BufferRef; output: BufferRef },
): KernelCall[] {
  const { builder, config, options, columns } = compiler;
  const { H, KV, D } = config;
  const common = { label, H, KV, D, cacheFormat: options.cacheFormat, context: options.context };
  const { rows, q, keys, values, output } = refs;
  if (columns === undefined) {
    const step = { buffer: TEXT_BUFFERS.step };
    return [
      attendMany(options, { ...common, rows: 'tokens', isCausal: true, step, q, keys, values, output }),
    ];
  }
  const { splits } = options;
  return attentionDecode({
    ...common,
    columns,
    splits,
    tiling: options.splitTiling,
    rows,
    q,
    keys,
    values,
    partialOutput: builder.buffer('partial-output', columns * H * splits * D),
    partialStats: builder.buffer('partial-stats', columns * H * splits * 2),
    output,
  });
}

function project(
  compiler: TextCompiler,
  label: string,
  weight: WeightMatrix,
  x: RowInput,
  y: BufferRef,
): readonly KernelCall[] {
  const { options, T, columns } = compiler;
  const step = { buffer: TEXT_BUFFERS.step };
  if ('codes' in x) return matmulInt8({ label, rows: 'tokens', weight, step, x, y });
  if (columns === undefined) {
    return multiply(promptCompiler(compiler), T, { label, rows: 'tokens', weight, step, x, y });
  }
  return multiplyColumns(options, { label, columns, weight, x, y });
}
