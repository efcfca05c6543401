import source from '#shaders/sample-token.wgsl?raw';
import type { BufferRef, Extent, KernelCall } from './kernel.ts';
import { ROW } from './prelude-sources.ts';
import { logitChunkCount, SAMPLER, samplerShape, WEIGHT_HISTOGRAM } from './sampler-prelude.ts';

/** What `sampleToken` reads and writes; shapes in brackets. A slot is what `Row.slot` names. */
export interface SampleTokenOptions {
  readonly label: string;
  /** Rows that are sampled: a number, or one for each token of a decode step. */
  readonly batch: Extent;
  readonly V: number;
  /** Results that a slot keeps: the i-th generated token is in `results[slot][i % ring]`. */
  readonly ring: number;
  /** Invocations of a workgroup, at least 16; a token does not depend on it. */
  readonly workgroup: number;
  /** [slots] `SamplerSettings` */
  readonly settings: BufferRef;
  /** [batch, V] f32, as `adjustLogits` read them */
  readonly logits: BufferRef;
  /** [batch, chunks] `LogitSummary` of `adjustLogits` */
  readonly chunks: BufferRef;
  /** [batch, V] f32 of `adjustLogits` */
  readonly adjusted: BufferRef;
  /** [slots, V] u32; the chosen token is counted */
  readonly counts: BufferRef;
  /** [batch] `Row`; gets the token, and its position, cache index and count of generated tokens grow by one */
  readonly rows: BufferRef;
  /** [slots, ring] of token id (or `FAULT_TOKEN`) and its raw log-probability where the settings ask for it */
  readonly results: BufferRef;
  /** [batch, V] u32 of work space */
  readonly candidates: BufferRef;
}

/** Chooses a token for each row and puts it where the next step's embedding reads it. */
export function sampleToken(options: SampleTokenOptions): KernelCall {
  const { label, batch, V, ring, workgroup } = options;
  const { settings, logits, chunks, adjusted, counts, rows, results, candidates } = options;
  return {
    label,
    program: {
      shader: 'sample-token',
      source,
      preludes: [ROW, SAMPLER, WEIGHT_HISTOGRAM],
      shape: samplerShape(workgroup),
      constants: { V, RING: ring, CHUNKS: logitChunkCount(V) },
    },
    bindings: { settings, logits, chunks, adjusted, counts, rows, results, candidates },
    grid: [batch, 1, 1],
  };
}
