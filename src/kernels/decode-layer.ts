import attentionSource from '#shaders/preludes/layer-attention.wgsl?raw';
import endHeadSource from '#shaders/preludes/layer-end-head.wgsl?raw';
import endQkvSource from '#shaders/preludes/layer-end-qkv.wgsl?raw';
import joinsSplitsSource from '#shaders/preludes/layer-joins-splits.wgsl?raw';
import mailSource from '#shaders/preludes/layer-mail.wgsl?raw';
import rowsSource from '#shaders/preludes/layer-rows.wgsl?raw';
import source from '#shaders/decode-layer.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import { INT8_GROUP, ROUND_INT8, type Int8Activations } from './int8-activations.ts';
import { prelude, type BufferRef, type CacheFormat, type KernelCall, type WeightMatrix } from './kernel.ts';
import { APPEND_QUAD, cachePrelude, DOT_GROUP, QUAD, SPLIT_RUNS, ROW } from './prelude-sources.ts';
import { ropeConstants, type RopeAppendOptions } from './rope-append.ts';

/** Storage buffers that `decodeLayer` binds: more than every device grants. */
export const DECODE_LAYER_STORAGE_BUFFERS = 12;

/** Word of the first `Row` (shaders/preludes/row.wgsl) that, not 0, makes `decodeLayer` only count its workgroups. */
export const COUNTING_WORD = 7;

/** How the workgroups of a whole layer share its work. */
export interface LayerTiling {
  /** Workgroups, all of which the device runs at the same time. */
  readonly workgroups: number;
  /** Invocations of each: a power of two, four subgroups at least. */
  readonly workgroup: number;
  /** Parts of a KV head's keys, each of which a workgroup attends to. */
  readonly splits: number;
}

/** What the splits of a layer's attention left (`splitKeys`), in a dispatch before the layer's. */
export interface AttendedSplits {
  readonly splits: number;
  /** [H, splits, D] f32 */
  readonly partialOutput: BufferRef;
  /** [H, splits, 2] f32 */
  readonly partialStats: BufferRef;
}

/** The weights of a layer that `decodeLayer` reads, all in one buffer; shapes as in `TextLayerWeights`. */
export interface LayerWeights {
  readonly o: WeightMatrix;
  readonly postAttentionNorm: BufferRef;
  readonly preMlpNorm: BufferRef;
  readonly gateUp: WeightMatrix;
  readonly down: WeightMatrix;
  readonly postMlpNorm: BufferRef;
}

/** What follows a layer, all of it in one buffer. */
export type LayerEnd =
  | {
      readonly norm: BufferRef;
      readonly qkv: WeightMatrix;
      readonly qkvBias: BufferRef;
      /** [positions, rotaryDimensions / 2] cosine and sine */
      readonly rope: BufferRef;
      /** [H, D] the next layer's queries, then [C] the residual stream after the layer */
      readonly stream: BufferRef;
      /** The next layer's cache, [slots, KV, context, D] each. */
      readonly keys: BufferRef;
      readonly values: BufferRef;
    }
  | { readonly norm: BufferRef; readonly head: Int8Activations };

/** What `decodeLayer` computes with; shapes in brackets. */
export interface DecodeLayerOptions extends Omit<RopeAppendOptions, 'qkv' | 'bias' | 'rope' | 'q'> {
  readonly C: number;
  readonly F: number;
  readonly epsilon: number;
  readonly tiling: LayerTiling;
  readonly leastSubgroup: number;
  readonly cacheFormat: CacheFormat;
  readonly weights: LayerWeights;
  /** [H, D] queries, then [C] the residual stream before the layer; not the buffer that `end` writes */
  readonly stream: BufferRef;
  /** Absent: the layer's dispatch attends to `keys` and `values` itself. */
  readonly attended?: AttendedSplits | undefined;
  /** [`layerMailWords`] zero; and the mail of the dispatch before, which becomes zero */
  readonly mail: BufferRef;
  readonly oldMail: BufferRef;
  readonly end: LayerEnd;
}

/** Where in `mail` the host finds how a layer went, in words; see the shader. */
export interface LayerMail {
  readonly words: number;
  /** Not 0 when a workgroup waited in vain. */
  readonly status: number;
  /** How many of the workgroups ran at the same time, where the first row asked for it. */
  readonly residents: number;
}

/**
 * The words through which the workgroups of a layer exchange activations, and a few for the host.
 *
 * @param splits splits of the keys that the layer attends to itself; 0 where a dispatch before it does
 */
export function layerMail(
  { C, H, D, F }: Pick<DecodeLayerOptions, 'C' | 'H' | 'D' | 'F'>,
  splits: number,
): LayerMail {
  const status = H * splits * (D + 2) + H * D + 2 * C + F;
  return { words: status + 3, status, residents: status + 2 };
}

/**
 * Whether one workgroup can hold what a layer's rows are multiplied with: an octet of C and of the heads' outputs, and a
 * group of F, for each invocation.
 */
export function supportsDecodeLayer(
  { C, H, D, F }: Pick<DecodeLayerOptions, 'C' | 'H' | 'D' | 'F'>,
  workgroup: number,
): boolean {
  return (
    [C, D, F].every((width) => width % INT8_GROUP === 0) &&
    Math.max(C, H * D) / 8 <= workgroup &&
    F / INT8_GROUP <= workgroup
  );
}

/** A decoder layer from its attention on, or its join alone, and the next layer's qkv product or the head's input. */
export function decodeLayer(options: DecodeLayerOptions): KernelCall {
  const { label, C, H, D, F, epsilon, tiling, leastSubgroup, cacheFormat } = options;
  const { weights, rows, stream, keys, values, attended, mail, oldMail, end } = options;
  const { o, postAttentionNorm, preMlpNorm, gateUp, down, postMlpNorm } = weights;
  const { workgroups, workgroup } = tiling;
  const hasQkv = 'qkv' in end;
  const qkvRows = hasQkv ? end.qkv.N : 0;
  const { lanesC, lanesHd, cBlock, fBlock, qkvBlock, mostSums } = shareRows(options, qkvRows);
  const layer = wholeBuffer(down.parts[0].weight);
  const next = wholeBuffer(end.norm);
  return {
    label,
    program: {
      shader: 'decode-layer',
      source,
      preludes: [
        ROW,
        cachePrelude(cacheFormat),
        ROUND_INT8,
        prelude('layer-mail', mailSource),
        DOT_GROUP,
        QUAD,
        prelude('layer-rows', rowsSource),
        ...(attended
          ? [SPLIT_RUNS, prelude('layer-joins-splits', joinsSplitsSource)]
          : [prelude('layer-attention', attentionSource)]),
        ...(hasQkv
          ? [APPEND_QUAD, prelude('layer-end-qkv', endQkvSource)]
          : [prelude('layer-end-head', endHeadSource)]),
      ],
      shape: {
        WORKGROUPS: workgroups,
        WORKGROUP: workgroup,
        SUBGROUP: leastSubgroup,
        C,
        HD: H * D,
        F,
        QKV: qkvRows,
        SPLITS: (attended ?? tiling).splits,
        ...ropeConstants(options),
        LANES_C: lanesC,
        LANES_HD: lanesHd,
        MOST_OCTETS: Math.max(C, H * D) / 8,
        MOST_SUMS: mostSums,
        C_BLOCK: cBlock,
        F_BLOCK: fBlock,
        QKV_BLOCK: qkvBlock,
        ...matrixPlace('O', o),
        ...matrixPlace('GATE_UP', gateUp),
        ...matrixPlace('DOWN', down),
        POST_ATTENTION: vectorPlace(postAttentionNorm),
        PRE_MLP: vectorPlace(preMlpNorm),
        POST_MLP: vectorPlace(postMlpNorm),
        NEXT_NORM: vectorPlace(end.norm),
        ...(hasQkv && { ...matrixPlace('QKV', end.qkv), QKV_BIAS: vectorPlace(end.qkvBias) }),
      },
      constants: { EPSILON: epsilon, ...(!attended && { SCALE: 1 / Math.sqrt(D) }) },
    },
    bindings: {
      layer,
      stream,
      ...(attended
        ? { partial_output: attended.partialOutput, partial_stats: attended.partialStats }
        : { keys_in: keys, values_in: values }),
      rows,
      mail,
      old_mail: oldMail,
      next,
      ...(hasQkv
        ? { q: end.stream, rope: end.rope, keys: end.keys, values: end.values }
        : { head_codes: end.head.codes, head_totals: end.head.totals }),
    },
    grid: [workgroups, 1, 1],
    weightBytes: [o, gateUp, down, ...(hasQkv ? [end.qkv] : [])].reduce(
      (total, matrix) => total + matrixBytes(matrix),
      0,
    ),
  };
}

/** Bytes of workgroup memory that `decodeLayer` takes at most. */
export function layerWorkgroupBytes(
  options: Pick<DecodeLayerOptions, 'C' | 'H' | 'KV' | 'D' | 'F' | 'tiling' | 'leastSubgroup'>,
): number {
  const { C, H, KV, D, tiling, leastSubgroup } = options;
  const { mostSums } = shareRows(options, (H + 2 * KV) * D);
  const octets = Math.max(C, H * D) / 8;
  // Digits and their totals, sums of rows, the join of the splits with its statistics, rounding, and sums of squares.
  return octets * 18 + mostSums * 16 + tiling.workgroup * (16 + 1 + 8 + 8 / leastSubgroup) + 64;
}

/** Which rows a workgroup takes, in quads, how many invocations share one, and the sums that this leaves, in quads. */
function shareRows(
  {
    C,
    H,
    D,
    F,
    tiling,
    leastSubgroup,
  }: Pick<DecodeLayerOptions, 'C' | 'H' | 'D' | 'F' | 'tiling' | 'leastSubgroup'>,
  qkvRows: number,
) {
  const block = (count: number): number => ceilDivide(count, 4 * tiling.workgroups) * 4;
  const [cBlock, fBlock, qkvBlock] = [block(C), block(F), block(qkvRows)];
  const lanesC = lanesFor(C, leastSubgroup);
  const lanesHd = lanesFor(H * D, leastSubgroup);
  const sums = Math.max(cBlock * lanesHd, 2 * fBlock * lanesC, cBlock * tiling.workgroup, qkvBlock * lanesC);
  return { lanesC, lanesHd, cBlock, fBlock, qkvBlock, mostSums: sums / (4 * leastSubgroup) };
}

/** Invocations that share a row of K: the power of two that gives each at most one group. */
function lanesFor(K: number, leastSubgroup: number): number {
  return Math.max(leastSubgroup, 2 ** Math.ceil(Math.log2(K / INT8_GROUP)));
}

function wholeBuffer({ buffer }: BufferRef): BufferRef {
  return { buffer };
}

/** Places in a buffer of vectors of four words. */
function vectorPlace({ byteOffset = 0 }: BufferRef): number {
  return byteOffset / 16;
}

function matrixPlace(name: string, { parts: [part] }: WeightMatrix): Record<string, number> {
  return {
    [`${name}_WEIGHT`]: vectorPlace(part.weight),
    [`${name}_SCALE`]: part.scale ? vectorPlace(part.scale) : 0,
  };
}

function matrixBytes({ parts }: WeightMatrix): number {
  return parts.reduce(
    (total, { weight, scale }) => total + (weight.byteLength ?? 0) + (scale?.byteLength ?? 0),
    0,
  );
}
