import {
  cudaAttentionDecode,
  CUDA_SPLITS,
  flashText,
  MOST_GROUPED_HEADS,
  TENSOR_HEAD_SIZES,
} from '../kernels/cuda/attention.ts';
import {
  cudaDecodeStep,
  fitsDecodeStep,
  MOST_STEP_COLUMNS,
  stepMailWords,
  type StepMailPlace,
} from '../kernels/cuda/decode-step.ts';
import { fitsGemm, gemm } from '../kernels/cuda/gemm.ts';
import {
  packQ4,
  cudaMatvec,
  cudaMatvecRope,
  cudaMatvecSwiglu,
  fitsMatvec,
  toFloat16,
} from '../kernels/cuda/matvec.ts';
import { cudaRmsNorm, cudaSandwichNorm } from '../kernels/cuda/norms.ts';
import { attentionRowsPlain, matmulPlain, swigluPlain } from '../kernels/cuda/plain.ts';
import type { ActivationFormat } from '../kernels/cuda/program.ts';
import { cudaRopeAppend } from '../kernels/cuda/rope.ts';
import { embedTokens } from '../kernels/embed-tokens.ts';
import type { BufferRef, WeightMatrix } from '../kernels/kernel.ts';
import type { CompileOptions } from './compile-options.ts';
import type { ModelConfig, TextConfig } from './config.ts';
import { PlanBuilder, type Plan } from './plan.ts';
import { ROW_WORDS, STEP_WORDS } from './step.ts';
import { addKeyValueCache, MAX_COLUMNS, TEXT_BUFFERS } from './text-buffers.ts';
import type { TextLayerWeights, TextWeights } from './weight-layout.ts';

/**
 * The text model's Plans for CUDA. Where weights and head size fit the tensor cores, activations between kernels are
 * f16 and the residual stream stays f32; else everything is f32.
 */
interface CudaCompiler {
  readonly builder: PlanBuilder;
  readonly config: TextConfig;
  readonly options: CompileOptions;
  /** Most rows of the step. */
  readonly T: number;
  /** Sequences of a decode step; undefined for a prefill chunk. */
  readonly columns: number | undefined;
  /** Format of activations between kernels. */
  readonly out: ActivationFormat;
  /** Weights at `q4` are packed for the decode step. */
  readonly isPacked: boolean;
}

/** The refs that pass from layer to layer. */
interface LayerRefs {
  readonly rows: BufferRef;
  readonly hidden: BufferRef;
  /** A norm's output: the layer's input. */
  readonly x: BufferRef;
}

export function compileCudaPrefill(
  { text }: ModelConfig,
  weights: TextWeights,
  options: CompileOptions,
): Plan {
  const builder = new PlanBuilder('prefill');
  const isPacked = decodesOnTensorCores(text, weights, options);
  const fits = isPacked || (fitsTensorCores(text, options) && layerMatrices(weights).every(fitsGemm));
  const out = fits ? 'f16' : 'f32';
  // The last norm is read by the host and by the head's Plan, in f32.
  const T = options.prefillChunk;
  addDecoder({ builder, config: text, options, T, columns: undefined, out, isPacked }, weights, {
    lastOut: 'f32',
  });
  return builder.build();
}

export function compileCudaDecode(
  { text }: ModelConfig,
  weights: TextWeights,
  options: CompileOptions,
  columns: number,
): Plan {
  const builder = new PlanBuilder(`decode x${columns}`);
  const isPacked = decodesOnTensorCores(text, weights, options);
  const out = isPacked ? 'f16' : 'f32';
  const compiler = { builder, config: text, options, T: columns, columns, out, isPacked } as const;
  const isOneKernel =
    isPacked &&
    columns <= Math.min(options.stepKernelColumns, MOST_STEP_COLUMNS) &&
    fitsDecodeStep({ ...text, ...options, columns }, weights.layers, weights.head);
  if (isOneKernel) addStep(compiler, weights, columns);
  else addHead(compiler, weights.head, addDecoder(compiler, weights, { lastOut: out }));
  return builder.build();
}

export function compileCudaHead(
  { text }: ModelConfig,
  weights: TextWeights,
  options: CompileOptions,
  columns: number,
): Plan {
  const builder = new PlanBuilder(`head x${columns}`);
  const { C } = text;
  const isPacked = decodesOnTensorCores(text, weights, options);
  const out = isPacked ? 'f16' : 'f32';
  const compiler = { builder, config: text, options, T: columns, columns, out, isPacked } as const;
  builder.buffer(TEXT_BUFFERS.step, STEP_WORDS, 'uniform');
  const input = builder.buffer(TEXT_BUFFERS.headInput, MAX_COLUMNS * C);
  if (out === 'f32') {
    addHead(compiler, weights.head, input);
    return builder.build();
  }
  const x = addActivations(compiler, 'normed', C);
  builder.add(toFloat16({ label: 'head.narrow', count: columns * C, x: input, y: x }));
  addHead(compiler, weights.head, x);
  return builder.build();
}

/** Run once at load: packs the weights of the decode step's products in place. No calls where there are none. */
export function compileCudaPacking(weights: TextWeights, config: TextConfig, options: CompileOptions): Plan {
  const builder = new PlanBuilder('pack weights');
  if (decodesOnTensorCores(config, weights, options)) {
    for (const matrix of [...layerMatrices(weights), weights.head])
      builder.add(...packQ4(matrix.name, matrix));
  }
  return builder.build();
}

function fitsTensorCores({ D, H, KV }: TextConfig, { cacheFormat }: CompileOptions): boolean {
  return cacheFormat === 'f16' && TENSOR_HEAD_SIZES.includes(D) && H / KV <= MOST_GROUPED_HEADS;
}

function decodesOnTensorCores(config: TextConfig, weights: TextWeights, options: CompileOptions): boolean {
  return (
    fitsTensorCores(config, options) &&
    config.F % 8 === 0 &&
    fitsMatvec(weights.head) &&
    layerMatrices(weights).every((matrix) => fitsMatvec(matrix) && fitsGemm(matrix))
  );
}

function layerMatrices({ layers }: TextWeights): WeightMatrix[] {
  return layers.flatMap(({ qkv, o, gateUp, down }) => [qkv, o, gateUp, down]);
}

/** Adds a decode step as one kernel after the embedding. */
function addStep(compiler: CudaCompiler, weights: TextWeights, columns: number): void {
  const { builder, config, options } = compiler;
  const { V } = config;
  const { hidden, rows } = addEmbedding(compiler, weights);
  const places = Object.entries(stepMailWords({ ...config, columns })) as [StepMailPlace, number][];
  const mail = Object.fromEntries(
    places.map(([name, words]) => [name, builder.buffer(`step-${columns}.${name}`, words)]),
  ) as Record<StepMailPlace, BufferRef>;
  builder.add(
    cudaDecodeStep({
      ...config,
      ...options,
      label: 'step',
      columns,
      epsilon: config.rmsNormEpsilon,
      layers: weights.layers.map((layer, index) => ({
        ...layer,
        ...addKeyValueCache(builder, config, options, index),
      })),
      finalNorm: weights.finalNorm,
      head: weights.head,
      rope: builder.buffer(TEXT_BUFFERS.rope, options.context * config.rotaryDimensions),
      rows,
      hidden,
      mail,
      logits: builder.buffer(TEXT_BUFFERS.logits, columns * V),
    }),
  );
}

/** Adds all layers and gives back the last norm's output. */
function addDecoder(
  compiler: CudaCompiler,
  weights: TextWeights,
  { lastOut }: { lastOut: ActivationFormat },
): BufferRef {
  const { builder, config, T } = compiler;
  const { C } = config;
  const { hidden, rows } = addEmbedding(compiler, weights);
  const x = addActivations(compiler, 'normed', C);
  const last = lastOut === 'f32' ? builder.buffer(TEXT_BUFFERS.normed, T * C) : x;
  builder.add(
    cudaRmsNorm({
      ...normOptions(compiler, 'layer.0.input-norm'),
      x: hidden,
      weight: weights.layers[0].inputNorm,
      y: x,
    }),
  );
  weights.layers.forEach((layer, index) => {
    const next = weights.layers[index + 1];
    addAttention(compiler, layer, index, { rows, hidden, x });
    addMlp(compiler, layer, index, { rows, hidden, x });
    builder.add(
      cudaSandwichNorm({
        ...normOptions(compiler, `layer.${index}`),
        x: builder.buffer('projected', T * C),
        postWeight: layer.postMlpNorm,
        preWeight: next?.inputNorm ?? weights.finalNorm,
        hidden,
        ...(next ? { y: x } : { y: last, out: lastOut }),
      }),
    );
  });
  return last;
}

/** Adds the lookup of the step's tokens. */
function addEmbedding(
  { builder, config, T, columns }: CudaCompiler,
  { embedding }: TextWeights,
): { rows: BufferRef; hidden: BufferRef } {
  const rows =
    columns === undefined
      ? builder.buffer(TEXT_BUFFERS.promptRows, T * ROW_WORDS)
      : builder.buffer(TEXT_BUFFERS.decodeRows, MAX_COLUMNS * ROW_WORDS);
  builder.buffer(TEXT_BUFFERS.step, STEP_WORDS, 'uniform');
  const hidden = builder.buffer(TEXT_BUFFERS.hidden, T * config.C);
  const features = builder.buffer(TEXT_BUFFERS.features, T * config.C);
  builder.add(...embedTokens({ label: 'embed', table: embedding, rows, features, hidden }));
  return { rows, hidden };
}

function addAttention(
  compiler: CudaCompiler,
  layer: TextLayerWeights,
  index: number,
  { rows, hidden, x }: LayerRefs,
): void {
  const { builder, config, options, T, out } = compiler;
  const { C, H, D } = config;
  const label = `layer.${index}`;
  const q = addActivations(compiler, 'q', H * D);
  const output = addActivations(compiler, 'attended', H * D);
  const projected = builder.buffer('projected', T * C);
  const cache = addKeyValueCache(builder, config, options, index);
  addQkv(compiler, layer, label, { rows, x, q, ...cache });
  addAttend(compiler, `${label}.attention`, { rows, q, ...cache, output });
  addProduct(compiler, `${label}.o`, layer.o, output, projected);
  builder.add(
    cudaSandwichNorm({
      ...normOptions(compiler, `${label}.attention-norm`),
      out,
      x: projected,
      postWeight: layer.postAttentionNorm,
      preWeight: layer.preMlpNorm,
      hidden,
      y: x,
    }),
  );
}

function addQkv(
  compiler: CudaCompiler,
  layer: TextLayerWeights,
  label: string,
  refs: { rows: BufferRef; x: BufferRef; q: BufferRef; keys: BufferRef; values: BufferRef },
): void {
  const { builder, config, options, T, columns, out } = compiler;
  const { x, ...targets } = refs;
  const rope = builder.buffer(TEXT_BUFFERS.rope, options.context * config.rotaryDimensions);
  const turn = { ...config, ...options, ...targets, rope, bias: layer.qkvBias };
  if (columns !== undefined && out === 'f16') {
    builder.add(cudaMatvecRope({ ...turn, label: `${label}.qkv`, columns, weight: layer.qkv, x }));
    return;
  }
  const qkv = builder.buffer('qkv', T * layer.qkv.N);
  addProduct(compiler, `${label}.qkv`, layer.qkv, x, qkv);
  builder.add(cudaRopeAppend({ ...turn, label: `${label}.rope`, qkv, out }));
}

function addAttend(
  compiler: CudaCompiler,
  label: string,
  refs: { rows: BufferRef; q: BufferRef; keys: BufferRef; values: BufferRef; output: BufferRef },
): void {
  const { builder, config, options, columns, out } = compiler;
  const { H, D } = config;
  const common = { label, ...config, ...options, ...refs };
  if (out === 'f32') {
    builder.add(attentionRowsPlain(common));
    return;
  }
  if (columns === undefined) {
    builder.add(flashText({ ...common, step: { buffer: TEXT_BUFFERS.step } }));
    return;
  }
  const partials = columns * H * CUDA_SPLITS;
  builder.add(
    ...cudaAttentionDecode({
      ...common,
      columns,
      partialOutput: builder.buffer('partial-output', partials * D),
      partialStats: builder.buffer('partial-stats', partials * 2),
    }),
  );
}

function addMlp(compiler: CudaCompiler, layer: TextLayerWeights, index: number, { x }: LayerRefs): void {
  const { builder, config, options, T, columns, out } = compiler;
  const { C, F } = config;
  const { multiprocessors } = options;
  const label = `layer.${index}`;
  const activated = addActivations(compiler, 'activated', F);
  const projected = builder.buffer('projected', T * C);
  if (out === 'f32') {
    const wide = builder.buffer('gate-up', T * 2 * F);
    addProduct(compiler, `${label}.gate-up`, layer.gateUp, x, wide);
    builder.add(swigluPlain({ label: `${label}.swiglu`, rows: 'tokens', F, x: wide, y: activated }));
  } else if (columns === undefined) {
    builder.add(
      ...gemm({
        ...gemmOptions(compiler, `${label}.gate-up`, layer.gateUp),
        x,
        store: 'swiglu',
        y: activated,
      }),
    );
  } else {
    builder.add(
      cudaMatvecSwiglu({
        label: `${label}.gate-up`,
        columns,
        weight: layer.gateUp,
        x,
        y: activated,
        multiprocessors,
      }),
    );
  }
  addProduct(compiler, `${label}.down`, layer.down, activated, projected);
}

/** y [rows, N] f32 of x in the compiler's format. */
function addProduct(
  compiler: CudaCompiler,
  label: string,
  weight: WeightMatrix,
  x: BufferRef,
  y: BufferRef,
): void {
  const { builder, options, columns, out } = compiler;
  if (out === 'f32') {
    const step = { buffer: TEXT_BUFFERS.step };
    builder.add(...matmulPlain({ label, rows: columns ?? 'tokens', weight, step, x, y }));
  } else if (columns === undefined) {
    builder.add(...gemm({ ...gemmOptions(compiler, label, weight), x, store: 'f32', y }));
  } else {
    builder.add(...cudaMatvec({ label, columns, weight, x, y, multiprocessors: options.multiprocessors }));
  }
}

function addHead(compiler: CudaCompiler, head: WeightMatrix, x: BufferRef): void {
  const { builder, config, T } = compiler;
  addProduct(compiler, 'head', head, x, builder.buffer(TEXT_BUFFERS.logits, T * config.V));
}

function gemmOptions({ builder, options, isPacked }: CudaCompiler, label: string, weight: WeightMatrix) {
  const unpacked = builder.buffer('unpacked-weight', weight.format === 'q4' ? (weight.N * weight.K) / 2 : 4);
  return {
    label,
    rows: 'tokens',
    weight,
    step: { buffer: TEXT_BUFFERS.step },
    unpacked,
    layout: isPacked ? 'packed' : 'rows',
    isWide: options.hasWideProducts,
  } as const;
}

function normOptions({ config, out }: CudaCompiler, label: string) {
  return { label, rows: 'tokens', C: config.C, epsilon: config.rmsNormEpsilon, out } as const;
}

/** [T, width] activations in the compiler's format; those in f16 have names of their own. */
function addActivations({ builder, T, out }: CudaCompiler, name: string, width: number): BufferRef {
  return out === 'f16' ? builder.buffer(`${name}.f16`, (T * width) / 2) : builder.buffer(name, T * width);
}
