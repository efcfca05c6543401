import type { Capabilities } from '../gpu/capabilities.ts';
import type { CacheFormat, Reduction } from '../kernels/kernel.ts';

/** How the compiler builds a model's Plans; chosen once, by capability. */
export interface CompileOptions {
  /** Tokens of the KV cache for each sequence. */
  readonly context: number;
  /** Sequences that the KV cache holds side by side. */
  readonly slots: number;
  readonly cacheFormat: CacheFormat;
  /** Tokens of one prefill chunk: the work between two looks at the abort signal. */
  readonly prefillChunk: number;
  readonly reduction: Reduction;
  /** Invocations of a workgroup that reduces a row. */
  readonly rowWorkgroup: number;
  /** Invocations of a mat-vec workgroup. */
  readonly matvecWorkgroup: number;
  /** Invocations of a sampling workgroup. */
  readonly sampleWorkgroup: number;
  /** Workgroups that share the keys of one KV head in a decode step. */
  readonly splits: number;
}

/** What the caller decides; the rest follows from the device. */
export interface CompileRequest {
  readonly context: number;
  readonly slots?: number;
  readonly cacheFormat?: CacheFormat;
  readonly prefillChunk?: number;
  readonly reduction?: Reduction;
}

/** Chooses the variants for a device. */
export function chooseCompileOptions(capabilities: Capabilities, request: CompileRequest): CompileOptions {
  const { isSoftware, hasSubgroups, subgroupSizes } = capabilities;
  // Subgroups of 4 (software) save nothing over workgroup memory.
  const prefersSubgroups = hasSubgroups && subgroupSizes.min >= 8;
  return {
    context: request.context,
    slots: request.slots ?? 1,
    cacheFormat: request.cacheFormat ?? 'f16',
    prefillChunk: request.prefillChunk ?? (isSoftware ? 64 : 512),
    reduction: request.reduction ?? (prefersSubgroups ? 'subgroup' : 'workgroup'),
    rowWorkgroup: isSoftware ? 32 : 256,
    matvecWorkgroup: isSoftware ? 16 : 64,
    sampleWorkgroup: isSoftware ? 64 : 256,
    splits: isSoftware ? 4 : 64,
  };
}
