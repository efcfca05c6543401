import type { Capabilities, DeviceLimits } from '../gpu/capabilities.ts';
import type { CacheFormat, Reduction } from '../kernels/kernel.ts';
import { ROPE_QKV_STORAGE_BUFFERS } from '../kernels/matvec-int8.ts';

/** How the compiler builds a model's Plans; chosen once, by capability. */
export interface CompileOptions {
  /** Which kernels the Plans name: WGSL's, or those of the CUDA backend. */
  readonly target: 'webgpu' | 'cuda';
  /** Tokens of the KV cache for each sequence. */
  readonly context: number;
  /** Sequences that the KV cache holds side by side. */
  readonly slots: number;
  readonly cacheFormat: CacheFormat;
  /** Tokens of one prefill chunk: the work between two looks at the abort signal. */
  readonly prefillChunk: number;
  readonly reduction: Reduction;
  /** How f32 products run: through workgroup memory, or without it on adapters that compute on the CPU. */
  readonly products: 'shared' | 'direct';
  /** How a decode step multiplies: f32, or int8 digits of the activations with 4-bit weights. */
  readonly arithmetic: Arithmetic;
  /** Whether one kernel may bind 10 storage buffers, so that qkv, rope and cache append are one. */
  readonly fusesRope: boolean;
  /** Invocations of a workgroup that reduces a row. */
  readonly rowWorkgroup: number;
  /** Invocations of a mat-vec workgroup. */
  readonly matvecWorkgroup: number;
  /** Invocations of a sampling workgroup. */
  readonly sampleWorkgroup: number;
  /** Workgroups that share the keys of one KV head in a decode step. */
  readonly splits: number;
}

/** `int8` reads the same weights with a third of the instructions; `f32` works everywhere. */
export type Arithmetic = 'f32' | 'int8';

/** What the caller decides; the rest follows from the device. */
export interface CompileRequest {
  readonly context: number;
  readonly slots?: number;
  readonly cacheFormat?: CacheFormat;
  readonly prefillChunk?: number;
  readonly reduction?: Reduction;
  readonly arithmetic?: Arithmetic;
}

/** Chooses the variants for a device. */
export function chooseCompileOptions(capabilities: Capabilities, request: CompileRequest): CompileOptions {
  const { isSoftware, hasSubgroups, hasInt8Dot, subgroupSizes, limits } = capabilities;
  // Subgroups of 4 (software) save nothing over workgroup memory.
  const prefersSubgroups = hasSubgroups && subgroupSizes.min >= 8;
  const isCuda = capabilities.cuda !== undefined;
  return {
    target: isCuda ? 'cuda' : 'webgpu',
    context: request.context,
    slots: request.slots ?? 1,
    // CUDA has no kernels for a cache in 8 bits.
    cacheFormat: isCuda && request.cacheFormat === 'q8' ? 'f16' : (request.cacheFormat ?? 'f16'),
    prefillChunk: request.prefillChunk ?? (isCuda ? Math.min(2048, request.context) : isSoftware ? 64 : 512),
    reduction: request.reduction ?? (prefersSubgroups ? 'subgroup' : 'workgroup'),
    // Software runs int8 dot products no faster than f32.
    arithmetic: request.arithmetic ?? (hasInt8Dot && !isSoftware ? 'int8' : 'f32'),
    fusesRope: limits.maxStorageBuffers >= ROPE_QKV_STORAGE_BUFFERS,
    products: isSoftware ? 'direct' : 'shared',
    rowWorkgroup: isSoftware ? 32 : largestRowWorkgroup(limits),
    matvecWorkgroup: isSoftware ? 16 : 128,
    sampleWorkgroup: isSoftware ? 64 : 256,
    splits: isSoftware ? 4 : 64,
  };
}

/** Bytes of workgroup memory that an invocation takes which sums a row and rounds it to int8 digits. */
const ROW_BYTES_AN_INVOCATION = 32;

/** The power of two, because reductions halve a workgroup, that the device grants; at most 1024. */
function largestRowWorkgroup({ maxWorkgroupInvocations, maxWorkgroupStorageBytes }: DeviceLimits): number {
  const most = Math.min(1024, maxWorkgroupInvocations, maxWorkgroupStorageBytes / ROW_BYTES_AN_INVOCATION);
  return 2 ** Math.floor(Math.log2(most));
}
