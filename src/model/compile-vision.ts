import { addNorm } from '../kernels/add-norm.ts';
import { embedPatches } from '../kernels/embed-patches.ts';
import { foldPatchWeight } from '../kernels/fold-patch-weight.ts';
import {
  CACHE_BYTES,
  type BufferRef,
  type KernelCall,
  type RowCount,
  type RowPiece,
  type WeightMatrix,
} from '../kernels/kernel.ts';
import { layerNormGelu } from '../kernels/layer-norm-gelu.ts';
import { rmsNorm } from '../kernels/rms-norm.ts';
import { ropeVision } from '../kernels/rope-vision.ts';
import { swiglu } from '../kernels/swiglu.ts';
import { roundUp } from '../base/maths.ts';
import { cutRows, MAX_GRID_SIDE, paddedPatchLength, pieceStep, VISION_BUFFERS } from './vision-buffers.ts';
import { compileCudaVision } from './compile-cuda-vision.ts';
import type { CompileOptions } from './compile-options.ts';
import type { ModelConfig, VisionConfig } from './config.ts';
import { attendMany, multiply } from './multiply.ts';
import { PlanBuilder, type Plan } from './plan.ts';
import { STEP_WORDS } from './step.ts';
import type { VisionBlockWeights, VisionWeights } from './weight-layout.ts';

export { MAX_GRID_SIDE, paddedPatchLength, VISION_BUFFERS };

/** The vision theta is fixed in the architecture; config.json has no key for it. */
export const VISION_ROPE_THETA = 10000;

/** Scratch buffers grow in steps of so many patches, so that similar screens share one Plan. */
const PATCH_STEP = 256;

/** Patches that the buffers hold when an image of `patchCount` comes. */
export function visionCapacity(patchCount: number): number {
  return roundUp(patchCount, PATCH_STEP);
}

interface VisionCompiler {
  readonly builder: PlanBuilder;
  readonly config: VisionConfig;
  readonly options: CompileOptions;
  /** Most patches. */
  readonly P: number;
  /** Of the scratch buffers that products take. */
  readonly scratch: string;
}

/** Run once at load: folds the patch embedding for still images. */
export function compilePatchFold(config: ModelConfig, weights: VisionWeights): Plan {
  const { vision } = config;
  const builder = new PlanBuilder('fold patch embedding');
  const paddedK = paddedPatchLength(vision);
  // The rope table is uploaded in the same step.
  builder.buffer(VISION_BUFFERS.rope, (MAX_GRID_SIDE * vision.D) / 2);
  builder.add(
    ...foldPatchWeight({
      label: 'fold',
      ...vision,
      paddedK,
      source: weights.patchEmbed,
      folded: builder.buffer(VISION_BUFFERS.foldedWeight, vision.C * paddedK),
    }),
  );
  return builder.build();
}

/** Patches of one image to features of the text model; buffers hold up to `P` patches. */
export function compileVision(
  config: ModelConfig,
  weights: VisionWeights,
  options: CompileOptions,
  P: number,
): Plan {
  if (options.target === 'cuda') return compileCudaVision(config, weights, options, P);
  const builder = new PlanBuilder(`vision of ${P} patches`);
  const compiler = { builder, config: config.vision, options, P, scratch: 'vision' };
  builder.buffer(VISION_BUFFERS.mergedStep, STEP_WORDS, 'uniform');
  addPatchEmbedding(compiler, weights);
  weights.blocks.forEach((block, index) => {
    addBlock(compiler, block, index, weights.blocks[index + 1]?.norm1 ?? weights.postNorm);
  });
  addMerger(compiler, weights);
  return builder.build();
}

function addPatchEmbedding(compiler: VisionCompiler, weights: VisionWeights): void {
  const { builder, config, P } = compiler;
  const { C, positionSide, spatialMergeSize, rmsNormEpsilon } = config;
  const K = paddedPatchLength(config);
  const folded: WeightMatrix = {
    name: VISION_BUFFERS.foldedWeight,
    N: C,
    K,
    format: 'f32',
    parts: [{ firstRow: 0, rowCount: C, weight: builder.buffer(VISION_BUFFERS.foldedWeight, C * K) }],
  };
  const patches = builder.buffer(VISION_BUFFERS.patches, P * K);
  const projected = builder.buffer(VISION_BUFFERS.embedded, P * C);
  const hidden = builder.buffer(VISION_BUFFERS.hidden, P * C);
  const step = builder.buffer(VISION_BUFFERS.step, STEP_WORDS, 'uniform');
  const bias = weights.patchEmbedBias;
  builder.add(
    ...multiply(compiler, P, {
      label: 'vision.patch-embed',
      rows: 'patches',
      weight: folded,
      step,
      x: patches,
      y: projected,
      bias,
    }),
  );
  builder.add(
    embedPatches({
      ...rowOptions(compiler, 'vision.embeddings'),
      C,
      epsilon: rmsNormEpsilon,
      positionSide,
      spatialMergeSize,
      step,
      x: projected,
      weight: weights.postConvNorm,
      positions: weights.positions,
      hidden,
    }),
  );
  builder.add(
    rmsNorm({
      ...rowOptions(compiler, 'vision.block.0.norm1'),
      rows: 'patches',
      C,
      epsilon: rmsNormEpsilon,
      x: hidden,
      weight: weights.blocks[0].norm1,
      y: builder.buffer(VISION_BUFFERS.normed, P * C),
    }),
  );
}

function addBlock(
  compiler: VisionCompiler,
  block: VisionBlockWeights,
  index: number,
  nextNorm: BufferRef,
): void {
  const { builder, config, P } = compiler;
  const { C, L, F, rmsNormEpsilon, spatialMergeSize } = config;
  const label = `vision.block.${index}`;
  const hidden = builder.buffer(VISION_BUFFERS.hidden, P * C);
  const normed = builder.buffer(VISION_BUFFERS.normed, P * C);
  const projected = builder.buffer(VISION_BUFFERS.embedded, P * C);
  addAttention(compiler, block, label, { normed, projected });
  const addAndNorm = (name: string, weight: BufferRef, merge = 1): void =>
    builder.add(
      addNorm({
        ...rowOptions(compiler, name),
        rows: 'patches',
        C,
        epsilon: rmsNormEpsilon,
        merge,
        x: projected,
        weight,
        hidden,
        y: normed,
      }),
    );
  addAndNorm(`${label}.norm2`, block.norm2);
  addGatedMlp(compiler, label, 'patches', {
    C,
    F,
    rowCount: P,
    gateUp: block.gateUp,
    down: block.down,
    x: normed,
    y: projected,
  });
  // The last block's norm already gathers 2x2 patches for the convolution.
  addAndNorm(label, nextNorm, index === L - 1 ? spatialMergeSize ** 2 : 1);
}

function addAttention(
  compiler: VisionCompiler,
  block: VisionBlockWeights,
  label: string,
  { normed, projected }: { normed: BufferRef; projected: BufferRef },
): void {
  const { builder, config, options, P } = compiler;
  const { C, H, D, spatialMergeSize } = config;
  // Kept for one block only: nothing is won by fewer bits.
  const cacheFormat = options.cacheFormat === 'q8' ? 'f16' : options.cacheFormat;
  const words = (P * C * CACHE_BYTES[cacheFormat]) / 4;
  const step = { buffer: VISION_BUFFERS.step };
  const qkv = builder.buffer(VISION_BUFFERS.wide, P * 3 * C);
  const q = builder.buffer(VISION_BUFFERS.queries, P * C);
  const keys = builder.buffer('vision.keys', words);
  const values = builder.buffer('vision.values', words);
  // Over the queries, keys and values that rope has read.
  const attended = qkv;
  const rope = builder.buffer(VISION_BUFFERS.rope, (MAX_GRID_SIDE * D) / 2);
  const rows = 'patches';
  builder.add(
    ...multiply(compiler, P, { label: `${label}.qkv`, rows, weight: block.qkv, step, x: normed, y: qkv }),
  );
  builder.add(
    ropeVision({
      label: `${label}.rope`,
      H,
      D,
      spatialMergeSize,
      cacheFormat,
      step,
      qkv,
      rope,
      q,
      keys,
      values,
    }),
  );
  builder.add(
    attendMany(options, {
      label: `${label}.attention`,
      rows,
      H,
      KV: H,
      D,
      cacheFormat,
      context: 0,
      isCausal: false,
      step,
      q,
      keys,
      values,
      output: attended,
    }),
  );
  builder.add(
    ...multiply(compiler, P, {
      label: `${label}.proj`,
      rows,
      weight: block.proj,
      step,
      x: attended,
      y: projected,
    }),
  );
}

function addMerger(compiler: VisionCompiler, weights: VisionWeights): void {
  const { builder, config, P } = compiler;
  const { outC, mergerF, spatialMergeSize } = config;
  const M = P / spatialMergeSize ** 2;
  const step = { buffer: VISION_BUFFERS.mergedStep };
  const rows = 'mergedPatches';
  const x = { buffer: VISION_BUFFERS.normed };
  const downsampled = builder.buffer(VISION_BUFFERS.downsampled, M * outC);
  const merged = builder.buffer(VISION_BUFFERS.merged, M * outC);
  const features = builder.buffer(VISION_BUFFERS.features, M * outC);
  const bias = weights.downsampleBias;
  builder.add(
    ...multiply(compiler, M, {
      label: 'vision.downsample',
      rows,
      weight: weights.downsample,
      step,
      x,
      y: downsampled,
      bias,
    }),
    ...multiply(compiler, M, {
      label: 'vision.merger.proj',
      rows,
      weight: weights.mergerProj,
      step,
      x: downsampled,
      y: merged,
    }),
    layerNormGelu({
      ...rowOptions(compiler, 'vision.merger.norm'),
      rows,
      C: outC,
      // torch's LayerNorm default, which the architecture does not override
      epsilon: 1e-5,
      x: merged,
      weight: weights.mergerNorm,
      bias: weights.mergerNormBias,
    }),
  );
  addGatedMlp(compiler, 'vision.merger', rows, {
    C: outC,
    F: mergerF,
    rowCount: M,
    gateUp: weights.mergerGateUp,
    down: weights.mergerDown,
    x: merged,
    y: features,
  });
}

/** y = down(silu(gate x) * up x), some rows at a time. */
function addGatedMlp(
  compiler: VisionCompiler,
  label: string,
  rows: RowCount,
  mlp: {
    C: number;
    F: number;
    rowCount: number;
    gateUp: WeightMatrix;
    down: WeightMatrix;
    x: { buffer: string };
    y: { buffer: string };
  },
): void {
  const { builder, options } = compiler;
  const { C, F, gateUp, down } = mlp;
  const wholeStep = rows === 'patches' ? VISION_BUFFERS.step : VISION_BUFFERS.mergedStep;
  for (const [index, piece] of cutRows(mlp.rowCount, F, options.imagePieceWords).entries()) {
    const { firstRow, rowCount } = piece;
    const step = builder.buffer(pieceStep(wholeStep, index), STEP_WORDS, 'uniform');
    const wide = builder.buffer(VISION_BUFFERS.wide, rowCount * 2 * F);
    const activated = builder.buffer(VISION_BUFFERS.queries, rowCount * F);
    const [x, y] = [mlp.x, mlp.y].map(({ buffer }) => rowsOf(buffer, firstRow, C));
    const calls = [
      ...multiply(compiler, rowCount, { label: `${label}.gate-up`, rows, weight: gateUp, step, x, y: wide }),
      swiglu({ label: `${label}.swiglu`, rows, F, x: wide, y: activated }),
      ...multiply(compiler, rowCount, { label: `${label}.down`, rows, weight: down, step, x: activated, y }),
    ];
    builder.add(...calls.map((call) => inPiece(call, piece)));
  }
}

/** A buffer of rows of `C` f32 from a row on. */
function rowsOf(buffer: string, firstRow: number, C: number): BufferRef {
  return firstRow === 0 ? { buffer } : { buffer, byteOffset: firstRow * C * 4 };
}

/** The call on those rows of a piece that a step has. */
function inPiece(call: KernelCall, piece: RowPiece): KernelCall {
  const [x, y, z] = call.grid.map((extent) => (typeof extent === 'number' ? extent : { ...extent, piece }));
  return { ...call, grid: [x, y, z] };
}

function rowOptions({ options }: VisionCompiler, label: string) {
  return { label, reduction: options.reduction, workgroup: options.rowWorkgroup } as const;
}
