import { flashVision, TENSOR_HEAD_SIZES } from '../kernels/cuda/attention.ts';
import { fitsGemm, gemm } from '../kernels/cuda/gemm.ts';
import { cudaAddNorm, cudaLayerNormGelu, cudaRmsNorm } from '../kernels/cuda/norms.ts';
import { attentionPatchesPlain, matmulPlain, swigluPlain } from '../kernels/cuda/plain.ts';
import type { ActivationFormat } from '../kernels/cuda/program.ts';
import { cudaRopeVision } from '../kernels/cuda/rope.ts';
import { embedPatches } from '../kernels/embed-patches.ts';
import { CACHE_BYTES, type BufferRef, type RowCount, type WeightMatrix } from '../kernels/kernel.ts';
import type { CompileOptions } from './compile-options.ts';
import type { ModelConfig, VisionConfig } from './config.ts';
import { PlanBuilder, type Plan } from './plan.ts';
import { STEP_WORDS } from './step.ts';
import { MAX_GRID_SIDE, paddedPatchLength, VISION_BUFFERS } from './vision-buffers.ts';
import type { VisionBlockWeights, VisionWeights } from './weight-layout.ts';

/** The vision tower's Plan for CUDA: activations in f16 where everything fits the tensor cores, else in f32. */
interface CudaVisionCompiler {
  readonly builder: PlanBuilder;
  readonly config: VisionConfig;
  readonly options: CompileOptions;
  /** Most patches. */
  readonly P: number;
  readonly out: ActivationFormat;
}

export function compileCudaVision(
  { vision: config }: ModelConfig,
  weights: VisionWeights,
  options: CompileOptions,
  P: number,
): Plan {
  const builder = new PlanBuilder(`vision of ${P} patches`);
  const fits =
    options.cacheFormat !== 'f32' &&
    TENSOR_HEAD_SIZES.includes(config.D) &&
    matrices(weights).every(fitsGemm);
  const compiler = { builder, config, options, P, out: fits ? 'f16' : 'f32' } as const;
  builder.buffer(VISION_BUFFERS.mergedStep, STEP_WORDS, 'uniform');
  addPatchEmbedding(compiler, weights);
  weights.blocks.forEach((block, index) => {
    const next = weights.blocks[index + 1];
    addAttention(compiler, block, index);
    addMlp(compiler, `vision.block.${index}`, 'patches', {
      ...block,
      F: config.F,
      x: addActivations(compiler, 'normed', P * config.C),
      y: builder.buffer(VISION_BUFFERS.embedded, P * config.C),
    });
    // The last block's norm already gathers 2x2 patches for the convolution.
    const merge = next ? 1 : config.spatialMergeSize ** 2;
    addResidual(compiler, `vision.block.${index}`, next?.norm1 ?? weights.postNorm, merge);
  });
  addMerger(compiler, weights);
  return builder.build();
}

function matrices({ blocks, ...rest }: VisionWeights): WeightMatrix[] {
  return [
    ...blocks.flatMap(({ qkv, proj, gateUp, down }) => [qkv, proj, gateUp, down]),
    rest.downsample,
    rest.mergerProj,
    rest.mergerGateUp,
    rest.mergerDown,
  ];
}

function addPatchEmbedding(compiler: CudaVisionCompiler, weights: VisionWeights): void {
  const { builder, config, P } = compiler;
  const { C, positionSide, spatialMergeSize, rmsNormEpsilon: epsilon } = config;
  const K = paddedPatchLength(config);
  const folded: WeightMatrix = {
    name: VISION_BUFFERS.foldedWeight,
    N: C,
    K,
    format: 'f32',
    parts: [{ firstRow: 0, rowCount: C, weight: builder.buffer(VISION_BUFFERS.foldedWeight, C * K) }],
  };
  const embedded = builder.buffer(VISION_BUFFERS.embedded, P * C);
  const hidden = builder.buffer(VISION_BUFFERS.hidden, P * C);
  const step = builder.buffer(VISION_BUFFERS.step, STEP_WORDS, 'uniform');
  builder.add(
    ...matmulPlain({
      label: 'vision.patch-embed',
      rows: 'patches',
      weight: folded,
      step,
      x: builder.buffer(VISION_BUFFERS.patches, P * K),
      y: embedded,
      bias: weights.patchEmbedBias,
    }),
    embedPatches({
      label: 'vision.embeddings',
      C,
      epsilon,
      positionSide,
      spatialMergeSize,
      reduction: 'subgroup',
      workgroup: 256,
      step,
      x: embedded,
      weight: weights.postConvNorm,
      positions: weights.positions,
      hidden,
    }),
    cudaRmsNorm({
      ...normOptions(compiler, 'vision.block.0.norm1', 'patches', C),
      x: hidden,
      weight: weights.blocks[0].norm1,
      y: addActivations(compiler, 'normed', P * C),
    }),
  );
}

function addAttention(compiler: CudaVisionCompiler, block: VisionBlockWeights, index: number): void {
  const { builder, config, P, out } = compiler;
  const { C, H, D, spatialMergeSize } = config;
  const label = `vision.block.${index}`;
  const cacheFormat = compiler.options.cacheFormat === 'f32' ? 'f32' : 'f16';
  const words = (P * C * CACHE_BYTES[cacheFormat]) / 4;
  const step = { buffer: VISION_BUFFERS.step };
  const qkv = builder.buffer('vision.qkv', P * 3 * C);
  const q = addActivations(compiler, 'q', P * C);
  const keys = builder.buffer('vision.keys', words);
  const values = builder.buffer('vision.values', words);
  const output = addActivations(compiler, 'attended', P * C);
  const rope = builder.buffer(VISION_BUFFERS.rope, (MAX_GRID_SIDE * D) / 2);
  const x = addActivations(compiler, 'normed', P * C);
  addProduct(compiler, `${label}.qkv`, 'patches', block.qkv, x, qkv);
  builder.add(
    cudaRopeVision({
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
      out,
    }),
  );
  const attention = { label: `${label}.attention`, H, D, step, q, keys, values, output };
  builder.add(out === 'f16' ? flashVision(attention) : attentionPatchesPlain({ ...attention, cacheFormat }));
  addProduct(
    compiler,
    `${label}.proj`,
    'patches',
    block.proj,
    output,
    builder.buffer(VISION_BUFFERS.embedded, P * C),
  );
  addResidual(compiler, `${label}.norm2`, block.norm2, 1);
}

function addResidual(compiler: CudaVisionCompiler, label: string, weight: BufferRef, merge: number): void {
  const { builder, config, P } = compiler;
  const { C } = config;
  builder.add(
    cudaAddNorm({
      ...normOptions(compiler, label, 'patches', C),
      merge,
      x: builder.buffer(VISION_BUFFERS.embedded, P * C),
      weight,
      hidden: builder.buffer(VISION_BUFFERS.hidden, P * C),
      y: addActivations(compiler, 'normed', P * C),
    }),
  );
}

function addMerger(compiler: CudaVisionCompiler, weights: VisionWeights): void {
  const { builder, config, P, out } = compiler;
  const { C, outC, mergerF, spatialMergeSize } = config;
  const M = P / spatialMergeSize ** 2;
  const rows = 'mergedPatches';
  const x = addActivations(compiler, 'normed', P * C);
  const merged = builder.buffer('vision.merged', M * outC);
  const y = builder.buffer(VISION_BUFFERS.features, M * outC);
  const { downsample, downsampleBias: bias } = weights;
  const downsampled =
    out === 'f16'
      ? addActivations(compiler, 'downsampled', M * outC)
      : builder.buffer(VISION_BUFFERS.downsampled, M * outC);
  const label = 'vision.downsample';
  const step = { buffer: VISION_BUFFERS.mergedStep };
  builder.add(
    ...(out === 'f16'
      ? gemm({
          ...gemmOptions(compiler, label, rows, downsample),
          x,
          store: 'f16-bias',
          bias,
          y: downsampled,
        })
      : matmulPlain({ label, rows, weight: downsample, step, x, y: downsampled, bias })),
  );
  addProduct(compiler, 'vision.merger.proj', rows, weights.mergerProj, downsampled, merged);
  const gelu = out === 'f16' ? addActivations(compiler, 'merged', M * outC) : merged;
  builder.add(
    cudaLayerNormGelu({
      ...normOptions(compiler, 'vision.merger.norm', rows, outC),
      // torch's LayerNorm default, which the architecture does not override
      epsilon: 1e-5,
      x: merged,
      weight: weights.mergerNorm,
      bias: weights.mergerNormBias,
      y: gelu,
    }),
  );
  addMlp(compiler, 'vision.merger', rows, {
    F: mergerF,
    gateUp: weights.mergerGateUp,
    down: weights.mergerDown,
    x: gelu,
    y,
  });
}

/** y = down(silu(gate x) * up x) */
function addMlp(
  compiler: CudaVisionCompiler,
  label: string,
  rows: RowCount,
  mlp: { F: number; gateUp: WeightMatrix; down: WeightMatrix; x: BufferRef; y: BufferRef },
): void {
  const { builder, config, P, out } = compiler;
  const { F, gateUp, down, x, y } = mlp;
  const rowCount = rows === 'patches' ? P : P / config.spatialMergeSize ** 2;
  const activated = addActivations(compiler, 'activated', rowCount * F);
  if (out === 'f16') {
    builder.add(
      ...gemm({
        ...gemmOptions(compiler, `${label}.gate-up`, rows, gateUp),
        x,
        store: 'swiglu',
        y: activated,
      }),
    );
  } else {
    const wide = builder.buffer('vision.gate-up', rowCount * 2 * F);
    addProduct(compiler, `${label}.gate-up`, rows, gateUp, x, wide);
    builder.add(swigluPlain({ label: `${label}.swiglu`, rows, F, x: wide, y: activated }));
  }
  addProduct(compiler, `${label}.down`, rows, down, activated, y);
}

/** y [rows, N] f32 of x in the compiler's format. */
function addProduct(
  compiler: CudaVisionCompiler,
  label: string,
  rows: RowCount,
  weight: WeightMatrix,
  x: BufferRef,
  y: BufferRef,
): void {
  const { builder, out } = compiler;
  const options = gemmOptions(compiler, label, rows, weight);
  builder.add(
    ...(out === 'f16' ? gemm({ ...options, x, store: 'f32', y }) : matmulPlain({ ...options, x, y })),
  );
}

function gemmOptions(
  { builder, options }: CudaVisionCompiler,
  label: string,
  rows: RowCount,
  weight: WeightMatrix,
) {
  const step = { buffer: rows === 'patches' ? VISION_BUFFERS.step : VISION_BUFFERS.mergedStep };
  const unpacked = builder.buffer('unpacked-weight', weight.format === 'q4' ? (weight.N * weight.K) / 2 : 4);
  return { label, rows, weight, step, unpacked, isWide: options.hasWideProducts } as const;
}

function normOptions({ config, out }: CudaVisionCompiler, label: string, rows: RowCount, C: number) {
  return { label, rows, C, epsilon: config.rmsNormEpsilon, out } as const;
}

/** Activations in the compiler's format; those in f16 have names of their own. */
function addActivations({ builder, out }: CudaVisionCompiler, name: string, length: number): BufferRef {
  return out === 'f16'
    ? builder.buffer(`vision.${name}.f16`, length / 2)
    : builder.buffer(`vision.${name}`, length);
}
