import type { BufferRef, KernelCall, WeightMatrix } from '../kernel.ts';
import { ropeConstants, type RopeAppendOptions } from '../rope-append.ts';
import { onlyPart } from './gemm.ts';
import { fitsMatvec } from './matvec.ts';
import { cudaProgram } from './program.ts';
import { queryScale } from './rope.ts';

/** Most sequences that the kernel takes. */
export const MOST_STEP_COLUMNS = 4;

/** Splits of a sequence's keys that it has room for; `STEP_SPLITS` of the kernel. */
export const STEP_SPLITS = 64;

/** Channels that a block's threads hold in their norms. */
const MOST_C = 4096;
/** Widest row of a product whose activations fit in shared memory. */
const MOST_K = 13824;
/** More sequences than these are computed by pairs of blocks, which share the rows of `down`; `has_pairs` of the kernel. */
const MOST_UNPAIRED_COLUMNS = 2;
/** Widest row of the other products then; `MOST_NARROW_K` of the kernel. */
const MOST_NARROW_K = 6912;
/** Tiles of `down` that a block of a pair has room for; `OWNED_TILES` of the kernel. */
const OWNED_TILES = 4;
/** `MOST_LAYERS` of the kernel. */
const MOST_LAYERS = 64;

/** One decoder layer; shapes in brackets. */
export interface StepLayer {
  /** [C] */
  readonly inputNorm: BufferRef;
  readonly qkv: WeightMatrix;
  readonly qkvBias: BufferRef;
  /** [slots, KV, context, D] f16 each */
  readonly keys: BufferRef;
  readonly values: BufferRef;
  readonly o: WeightMatrix;
  readonly postAttentionNorm: BufferRef;
  readonly preMlpNorm: BufferRef;
  readonly gateUp: WeightMatrix;
  readonly down: WeightMatrix;
  readonly postMlpNorm: BufferRef;
}

/** What a whole decode step reads and writes. */
export interface DecodeStepOptions extends Pick<
  RopeAppendOptions,
  'H' | 'KV' | 'D' | 'rotaryDimensions' | 'mropeSections' | 'context' | 'rope' | 'rows'
> {
  readonly label: string;
  readonly columns: number;
  readonly C: number;
  readonly F: number;
  readonly V: number;
  readonly epsilon: number;
  readonly multiprocessors: number;
  readonly layers: readonly StepLayer[];
  readonly finalNorm: BufferRef;
  readonly head: WeightMatrix;
  /** [columns, C] f32: the embedded tokens */
  readonly hidden: BufferRef;
  /** Of steps with as many columns and no others; `stepMailWords`, zero before the first. */
  readonly mail: Readonly<Record<StepMailPlace, BufferRef>>;
  /** [columns, V] f32 */
  readonly logits: BufferRef;
}

/** Where the kernel's blocks leave values for each other; its `StepMail` says what. */
export type StepMailPlace =
  | 'turns'
  | 'sent_qkv'
  | 'sent_parts'
  | 'sent_stats'
  | 'sent_attended'
  | 'sent_activated'
  | 'projected'
  | 'middle'
  | 'reduced'
  | 'stream'
  | 'projected_added'
  | 'projected_squares'
  | 'middle_normed'
  | 'middle_squares'
  | 'reduced_added'
  | 'reduced_squares'
  | 'stream_normed'
  | 'stream_squares';

/** Words of each of these places. */
export function stepMailWords({
  columns,
  C,
  F,
  H,
  KV,
  D,
}: Pick<DecodeStepOptions, 'columns' | 'C' | 'F' | 'H' | 'KV' | 'D'>): Record<StepMailPlace, number> {
  const splits = columns * H * STEP_SPLITS;
  const halves = (columns * C) / 2;
  // Of tiles, with a word for each of as many columns as the kernel takes, and of blocks' octets of channels.
  const tileSquares = Math.ceil(C / 16) * MOST_STEP_COLUMNS;
  const ownSquares = (columns * C) / 8;
  return {
    turns: 1,
    sent_qkv: (columns * (H + 2 * KV) * D) / 2,
    sent_parts: (splits * D) / 2,
    sent_stats: splits * 2,
    sent_attended: (columns * H * D) / 2,
    sent_activated: (columns * F) / 2,
    projected: columns * C,
    middle: columns * C,
    reduced: columns * C,
    stream: columns * C,
    projected_added: halves,
    projected_squares: tileSquares,
    middle_normed: halves,
    middle_squares: ownSquares,
    reduced_added: halves,
    reduced_squares: tileSquares,
    stream_normed: halves,
    stream_squares: ownSquares,
  };
}

/**
 * Blocks of the kernel, an even number: one on each multiprocessor, but each must have a tile (16 rows, or 8 of gate and
 * of up) of every product, for what it sends says that it is done with what it received.
 */
export function stepBlocks({
  multiprocessors,
  C,
  F,
  H,
  KV,
  D,
}: Pick<DecodeStepOptions, 'multiprocessors' | 'C' | 'F' | 'H' | 'KV' | 'D'>): number {
  const most = Math.min(multiprocessors, Math.ceil(C / 16), F / 8, ((H + 2 * KV) * D) / 16);
  return Math.floor(most / 2) * 2;
}

/** Where heads have 128 dimensions, a product's row may end half a unit of 256 values behind whole ones. */
const WIDE_HEAD_ROW_STEP = 128;

/**
 * True for shapes that the kernel takes; the head size is checked by whoever asks for tensor cores. Its form for heads
 * of 128 dimensions has no code for rows that end elsewhere than at half a unit.
 */
export function fitsDecodeStep(
  shape: Pick<DecodeStepOptions, 'columns' | 'multiprocessors' | 'C' | 'F' | 'H' | 'KV' | 'D'>,
  layers: readonly Pick<StepLayer, 'qkv' | 'o' | 'gateUp' | 'down'>[],
  head: WeightMatrix,
): boolean {
  const { columns, C, F, H, D } = shape;
  const blocks = stepBlocks(shape);
  const isPaired = columns > MOST_UNPAIRED_COLUMNS;
  const products = [...layers.flatMap(({ qkv, o, gateUp, down }) => [qkv, o, gateUp, down]), head];
  const rowStep = D === 128 ? WIDE_HEAD_ROW_STEP : 1;
  return (
    blocks > 0 &&
    C <= MOST_C &&
    F <= MOST_K &&
    H * D <= (isPaired ? MOST_NARROW_K : MOST_K) &&
    (!isPaired || Math.ceil(C / 16) <= OWNED_TILES * blocks) &&
    layers.length <= MOST_LAYERS &&
    [C, F, H * D].every((K) => K % rowStep === 0) &&
    products.every((weight) => weight.parts.length === 1 && fitsMatvec(weight))
  );
}

/** A decode step of up to `MOST_STEP_COLUMNS` sequences in one kernel, from the embedded tokens to the logits. */
export function cudaDecodeStep(options: DecodeStepOptions): KernelCall {
  const { label, columns, layers, C, F, V, D, epsilon } = options;
  const { finalNorm, head, rope, rows, hidden, mail, logits } = options;
  const { D: _, ...turn } = ropeConstants(options);
  return {
    label,
    program: cudaProgram('decode-step', {
      shape: { D, WIDTH: columns <= 2 ? columns : MOST_STEP_COLUMNS },
      constants: {
        ...turn,
        L: layers.length,
        COLUMNS: columns,
        C,
        F,
        V,
        EPSILON: epsilon,
        Q_SCALE: queryScale(D, 'f16'),
      },
    }),
    bindings: {
      ...Object.fromEntries(layers.flatMap(layerEntries)),
      final_norm: finalNorm,
      ...matrixBindings('head', head),
      rope,
      rows,
      hidden,
      ...mail,
      logits,
    },
    grid: [stepBlocks(options), 1, 1],
  };
}

/** A row of the kernel's table `layers`: the names stand in the order of its `StepLayer`. */
function layerEntries(layer: StepLayer, index: number): [string, BufferRef][] {
  const row = {
    input_norm: layer.inputNorm,
    ...matrixBindings('qkv', layer.qkv),
    qkv_bias: layer.qkvBias,
    keys: layer.keys,
    values: layer.values,
    ...matrixBindings('o', layer.o),
    post_attention_norm: layer.postAttentionNorm,
    pre_mlp_norm: layer.preMlpNorm,
    ...matrixBindings('gate_up', layer.gateUp),
    ...matrixBindings('down', layer.down),
    post_mlp_norm: layer.postMlpNorm,
  };
  return Object.entries(row).map(([name, ref]) => [`layers.${index}.${name}`, ref]);
}

function matrixBindings(name: string, weight: WeightMatrix): Record<string, BufferRef> {
  const { weight: values, scale } = onlyPart(weight);
  return scale ? { [name]: values, [`${name}_scale`]: scale } : { [name]: values };
}
