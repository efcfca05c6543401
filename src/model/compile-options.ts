import { roundUp } from '../base/maths.ts';
import type { Capabilities, DeviceLimits } from '../gpu/capabilities.ts';
import type { SplitTiling } from '../kernels/attention-split.ts';
import { DECODE_LAYER_STORAGE_BUFFERS, type LayerTiling } from '../kernels/decode-layer.ts';
import type { CacheFormat, Reduction } from '../kernels/kernel.ts';
import { MATRIX_WORKGROUP_BYTES } from '../kernels/attention-matrix.ts';
import { ATTENTION_WIDE_BYTES } from '../kernels/attention-wide.ts';
import { MATMUL_TILE_BYTES } from '../kernels/matmul-tile.ts';
import { ROPE_QKV_STORAGE_BUFFERS } from '../kernels/matvec-int8.ts';
import { keepsColumns, type RowTiling } from '../kernels/row-tiling.ts';

/** How the compiler builds a model's Plans; chosen once, by capability. */
export interface CompileOptions {
  /** Which kernels the Plans name: WGSL's, or those of the CUDA backend. */
  readonly target: 'webgpu' | 'cuda';
  /** Multiprocessors of a CUDA GPU; 0 elsewhere. */
  readonly multiprocessors: number;
  /** Products of many rows by the matrix instructions that compute capability 9 alone has. */
  readonly hasWideProducts: boolean;
  /** Most sequences of a CUDA decode step that is one kernel; 0: none is. */
  readonly stepKernelColumns: number;
  /** Tokens of the KV cache for each sequence. */
  readonly context: number;
  /** Sequences that the KV cache holds side by side. */
  readonly slots: number;
  readonly cacheFormat: CacheFormat;
  /** Tokens of one prefill chunk: the work between two looks at the abort signal. */
  readonly prefillChunk: number;
  readonly reduction: Reduction;
  /** Invocations that every subgroup has at least. */
  readonly leastSubgroup: number;
  /** How f32 products run: through workgroup memory, or without it on adapters that compute on the CPU. */
  readonly products: 'shared' | 'direct';
  /** How a prompt's and an image's many rows multiply. */
  readonly manyRows: ManyRows;
  /** Whether f32 products and attention of many rows run in larger tiles. */
  readonly largeTiles: boolean;
  /** How a decode step multiplies: f32, or int8 digits of the activations with 4-bit weights. */
  readonly arithmetic: Arithmetic;
  /** Whether one kernel may bind 10 storage buffers, so that qkv, rope and cache append are one. */
  readonly fusesRope: boolean;
  /** Invocations of a workgroup that reduces a row. */
  readonly rowWorkgroup: number;
  /** Invocations of an f32 mat-vec workgroup. */
  readonly matvecWorkgroup: number;
  /** How the int8 products of a decode step share their work. */
  readonly int8Tilings: Int8Tilings;
  /** Whether that may be measured on the device: see `withTunedTilings`. */
  readonly tunesTilings: boolean;
  /** How they share it for a few sequences whose activations fit the registers; absent: as for others. */
  readonly turns?: TurnOptions | undefined;
  /** How a decode step runs most of a layer in one dispatch; absent: in a dispatch for each product and norm. */
  readonly layerTiling?: LayerTiling | undefined;
  /** Whether the device may be tried for that: see `withWholeLayers`. */
  readonly allowsWholeLayers: boolean;
  /** Keys from which a step is compiled as `far` that has two forms; the caller may choose 0 or `Infinity` to have one alone. */
  readonly farKeys: number;
  /** Invocations of a sampling workgroup. */
  readonly sampleWorkgroup: number;
  /** Most words of an image's widest activations: its MLPs take as many rows at a time as these hold. */
  readonly imagePieceWords: number;
  /** Workgroups that share the keys of one KV head in a decode step; with `turns` those of its few sequences together. */
  readonly splits: number;
  /** How a workgroup shares a split; absent: the kernel that needs no subgroups. */
  readonly splitTiling?: SplitTiling | undefined;
}

/**
 * Whether a step is for few keys or for many. One of whole layers attends `near` in the layers' own dispatches, `far` in one
 * before each, whose many workgroups are worth it for many keys; one of a few sequences has other splits.
 */
export type DecodeReach = 'near' | 'far';

/** `int8` reads the same weights with a third of the instructions; `f32` works everywhere. */
export type Arithmetic = 'f32' | 'int8';

/** The products of a decode step, each with its own best shape. */
export type Int8Tilings = Readonly<Record<'qkv' | 'o' | 'gateUp' | 'down' | 'head', RowTiling>>;

/** Products whose workgroups take sets of rows in turn (`RowTiling.inTurn`). */
export interface TurnOptions {
  /** Most invocations of a workgroup. */
  readonly mostLanes: number;
  readonly sets: Readonly<Record<keyof Int8Tilings, Pick<RowTiling, 'sets' | 'rows'>>>;
  /** How a workgroup shares a split of few keys; absent: as one of many. */
  readonly nearTiling?: SplitTiling | undefined;
}

/**
 * `matrix` multiplies f16 values in subgroup matrices, `int8` two digits of the activations with 4-bit weights; what
 * neither can take, and everything in `f32`, is multiplied in f32.
 */
export type ManyRows = 'f32' | 'int8' | 'matrix';

/** What the caller decides; the rest follows from the device. */
export interface CompileRequest {
  readonly context: number;
  readonly slots?: number;
  readonly cacheFormat?: CacheFormat;
  readonly prefillChunk?: number;
  readonly reduction?: Reduction;
  readonly arithmetic?: Arithmetic;
  readonly manyRows?: ManyRows;
  readonly int8Tilings?: Int8Tilings;
  readonly tunesTilings?: boolean;
  readonly imagePieceWords?: number;
  readonly layerTiling?: LayerTiling;
  readonly farKeys?: number;
  readonly splits?: number;
  readonly splitTiling?: SplitTiling;
  readonly nearTiling?: SplitTiling;
  readonly stepKernelColumns?: number;
  readonly largeTiles?: boolean;
}

/** Chooses the variants for a device. */
export function chooseCompileOptions(capabilities: Capabilities, request: CompileRequest): CompileOptions {
  const { isSoftware, hasSubgroups, hasInt8Dot, subgroupSizes, limits } = capabilities;
  // Subgroups of 4 (software) save nothing over workgroup memory.
  const prefersSubgroups = hasSubgroups && subgroupSizes.min >= 8;
  const isCuda = capabilities.cuda !== undefined;
  const reduction = request.reduction ?? (prefersSubgroups ? 'subgroup' : 'workgroup');
  return {
    target: isCuda ? 'cuda' : 'webgpu',
    multiprocessors: capabilities.cuda?.multiprocessors ?? 0,
    hasWideProducts: capabilities.cuda?.computeCapability === 9,
    // Measured on H100 and H200 alone: faster for one to four sequences.
    stepKernelColumns: request.stepKernelColumns ?? (capabilities.cuda?.computeCapability === 9 ? 4 : 0),
    context: request.context,
    slots: request.slots ?? 1,
    // CUDA has no kernels for a cache in 8 bits.
    cacheFormat: isCuda && request.cacheFormat === 'q8' ? 'f16' : (request.cacheFormat ?? 'f16'),
    prefillChunk:
      request.prefillChunk ??
      (isCuda ? cudaChunk(capabilities, request) : isSoftware ? 64 : gpuChunk(request, GPU_CHUNK)),
    reduction,
    leastSubgroup: subgroupSizes.min,
    manyRows: request.manyRows ?? chooseManyRows(capabilities),
    largeTiles: request.largeTiles ?? fitsLargeTiles(capabilities),
    // Software runs int8 dot products no faster than f32.
    arithmetic: request.arithmetic ?? (hasInt8Dot && !isSoftware ? 'int8' : 'f32'),
    fusesRope: limits.maxStorageBuffers >= ROPE_QKV_STORAGE_BUFFERS,
    products: isSoftware ? 'direct' : 'shared',
    rowWorkgroup: isSoftware ? 32 : largestRowWorkgroup(limits),
    matvecWorkgroup: isSoftware ? 16 : 128,
    sampleWorkgroup: isSoftware ? 64 : 256,
    int8Tilings:
      request.int8Tilings ?? (isSoftware ? SOFTWARE_TILINGS : chooseTilings(reduction, subgroupSizes.max)),
    tunesTilings: request.tunesTilings ?? (!isCuda && !isSoftware && request.int8Tilings === undefined),
    turns: reduction === 'subgroup' ? chooseTurns(capabilities, request) : undefined,
    imagePieceWords: request.imagePieceWords ?? IMAGE_PIECE_WORDS,
    layerTiling: request.layerTiling,
    allowsWholeLayers: allowsWholeLayers(capabilities, reduction),
    farKeys: request.farKeys ?? FAR_KEYS,
    splits: request.splits ?? (isSoftware ? 4 : reduction === 'subgroup' ? SUBGROUP_SPLITS : 128),
    ...(reduction === 'subgroup' && {
      splitTiling: request.splitTiling ?? (subgroupSizes.min >= 8 ? SPLIT_TILING : NARROW_SPLIT_TILING),
    }),
  };
}

/** The shapes that ran best on an H100, as far as the subgroups allow them. */
function chooseTilings(reduction: Reduction, largestSubgroup: number): Int8Tilings {
  const least = reduction === 'subgroup' ? largestSubgroup : 1;
  // 256 invocations, which every device grants, in as many sets as make up a group of 32 outputs.
  const gateUp = [32, 64, 128].find((lanes) => lanes >= least) ?? 128;
  const rows = { lanes: 128, sets: 1, rows: 4 };
  return {
    qkv: rows,
    o: rows,
    gateUp: { lanes: gateUp, sets: 256 / gateUp, rows: gateUp / 4 },
    down: rows,
    head: least <= 64 ? { lanes: 64, sets: 2, rows: 4 } : rows,
  };
}

/** The sets that ran best on an H100 for four sequences; subgroups must have one size. */
function chooseTurns(
  { subgroupSizes, limits }: Capabilities,
  { splitTiling, nearTiling }: CompileRequest,
): TurnOptions | undefined {
  const { min, max } = subgroupSizes;
  if (min !== max) return undefined;
  const octets = { sets: 8, rows: 8 };
  const quads = { sets: 2, rows: 4 };
  return {
    // A subgroup's sums of 64 rows take 1 KiB of the 16 KiB that every device grants; SwiGLU needs some too.
    mostLanes: Math.min(limits.maxWorkgroupInvocations, 15 * min),
    sets: { qkv: quads, o: quads, gateUp: octets, down: { sets: 8, rows: 4 }, head: octets },
    nearTiling: nearTiling ?? (!splitTiling && min >= 8 ? NEAR_SPLIT_TILING : undefined),
  };
}

/**
 * Whole layers run on NVIDIA only, whose multiprocessors run every workgroup that they hold at the same time, each of its
 * subgroups by turns.
 */
function allowsWholeLayers(
  { adapter, isSoftware, cuda, hasInt8Dot, subgroupSizes, limits }: Capabilities,
  reduction: Reduction,
): boolean {
  return (
    adapter.vendor === 'nvidia' &&
    !isSoftware &&
    !cuda &&
    hasInt8Dot &&
    reduction === 'subgroup' &&
    subgroupSizes.min === 32 &&
    subgroupSizes.max === 32 &&
    limits.maxStorageBuffers >= DECODE_LAYER_STORAGE_BUFFERS &&
    limits.maxWorkgroupInvocations >= 512 &&
    // A layer's weights, and the head's, are one binding.
    limits.maxBindingBytes >= 2 ** 30
  );
}

/**
 * On an H100 a step takes as long in either form behind 2,048 keys, 2.84 ms; behind 25,000 it takes 4.9 ms with attention in
 * the layers' dispatches and 3.5 ms with a dispatch for its splits. Four sequences change between 512 keys, where `near` is
 * 0.14 ms shorter, and 4,096, where it is 0.05 ms longer.
 */
const FAR_KEYS = 2048;

/** On an H100 two workgroups a multiprocessor and KV head of the real model, which run at the same time. */
const SUBGROUP_SPLITS = 132;

/** Whether a step of so many sequences has another form for many keys. */
export function reachesFar(
  { target, arithmetic, layerTiling, turns, farKeys, context }: CompileOptions,
  columns: number,
): boolean {
  const hasTwoForms =
    columns === 1
      ? layerTiling !== undefined
      : target === 'webgpu' && arithmetic === 'int8' && keepsColumns(columns) && turns?.nearTiling;
  return Boolean(hasTwoForms) && farKeys < context;
}

/** Few invocations, because software runs each of them in turn. */
const SOFTWARE_ROWS: RowTiling = { lanes: 8, sets: 1, rows: 4 };
const SOFTWARE_TILINGS: Int8Tilings = {
  qkv: SOFTWARE_ROWS,
  o: SOFTWARE_ROWS,
  gateUp: { lanes: 4, sets: 4, rows: 16 },
  down: SOFTWARE_ROWS,
  head: SOFTWARE_ROWS,
};

/** A subgroup of at least eight is a condition of using subgroups at all. */
const SPLIT_TILING: SplitTiling = { workgroup: 128, keyLanes: 8, keys: 8, headGroups: 4 };
/** Twice the invocations: of few keys, a few sequences' splits leave a large GPU room. */
const NEAR_SPLIT_TILING: SplitTiling = { workgroup: 256, keyLanes: 8, keys: 4, headGroups: 4 };
const NARROW_SPLIT_TILING: SplitTiling = { workgroup: 64, keyLanes: 4, keys: 8, headGroups: 4 };

/** 128 MiB, or 4,096 patches of the real model: enough work for a large GPU, and half the memory of a screenshot. */
const IMAGE_PIECE_WORDS = 2 ** 25;

/** Long chunks keep a large GPU busy; a small one has no memory for their activations. */
function cudaChunk({ limits }: Capabilities, { context }: CompileRequest): number {
  return Math.min(context, limits.maxBufferBytes >= 20e9 ? 4096 : 1024);
}

function fitsLargeTiles({ isSoftware, limits }: Capabilities): boolean {
  const needed = Math.max(ATTENTION_WIDE_BYTES, MATMUL_TILE_BYTES);
  return !isSoftware && limits.maxWorkgroupStorageBytes >= needed;
}

/** Fills a large GPU's tiles; a small one takes a second for it, after which a stop is noticed. */
const GPU_CHUNK = 1024;
const ROOMY_CHUNK = 4096;

/** No longer than the context, in whole tiles: no prompt is longer. */
function gpuChunk({ context }: CompileRequest, most: number): number {
  return Math.min(most, roundUp(context, 128));
}

/** Buffers for longer chunks and larger pieces, which cost 1.3 GB more and fill a large GPU better. */
export function withRoom<Request extends CompileRequest>(
  request: Request,
  { isSoftware, cuda }: Capabilities,
): Request {
  if (isSoftware || cuda) return request;
  return {
    prefillChunk: gpuChunk(request, ROOMY_CHUNK),
    imagePieceWords: 2 ** 27,
    ...request,
  };
}

function chooseManyRows({ isSoftware, hasInt8Dot, hasSubgroupMatrix, limits }: Capabilities): ManyRows {
  if (isSoftware) return 'f32';
  if (hasSubgroupMatrix && limits.maxWorkgroupStorageBytes >= MATRIX_WORKGROUP_BYTES) return 'matrix';
  return hasInt8Dot ? 'int8' : 'f32';
}

/** Bytes of workgroup memory that an invocation takes which sums a row and rounds it to int8 digits. */
const ROW_BYTES_AN_INVOCATION = 32;

/** More invocations than a row of the real model has vectors of eight would idle. */
const MOST_ROW_INVOCATIONS = 512;

/** The power of two, because reductions halve a workgroup, that the device grants; at most 512. */
function largestRowWorkgroup({ maxWorkgroupInvocations, maxWorkgroupStorageBytes }: DeviceLimits): number {
  const most = Math.min(
    MOST_ROW_INVOCATIONS,
    maxWorkgroupInvocations,
    maxWorkgroupStorageBytes / ROW_BYTES_AN_INVOCATION,
  );
  return 2 ** Math.floor(Math.log2(most));
}
