/** 32-bit words of one `Row` (shaders/preludes/row.wgsl). */
export const ROW_WORDS = 8;
export const ROW_BYTES = ROW_WORDS * 4;
/** 32-bit words of `Step` (shaders/preludes/step.wgsl). */
export const STEP_WORDS = 8;
/** Set in a row's token when it is the index of an image feature row instead of a vocabulary id. */
export const IMAGE_FLAG = 0x80000000;

/** One token of a step. */
export interface Row {
  /** Time, row and column position. */
  readonly position: readonly [number, number, number];
  /** Vocabulary id, or `IMAGE_FLAG` plus the index of an image feature row. */
  readonly token: number;
  /** Where its key and value go in the KV cache. */
  readonly cacheIndex: number;
  /** The sequence's part of the cache. */
  readonly slot: number;
  /** Tokens generated so far for its sequence. */
  readonly generated: number;
}

/** Words of an array of `Row`. */
export function encodeRows(rows: readonly Row[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(rows.length * ROW_WORDS);
  rows.forEach(({ position, token, cacheIndex, slot, generated }, index) => {
    words.set([...position, token, cacheIndex, slot, generated], index * ROW_WORDS);
  });
  return words;
}

/** What changes from one step to the next. */
export interface Step {
  readonly rowCount: number;
  /** Patch grid of the image; 0 for text. */
  readonly gridRows?: number;
  readonly gridColumns?: number;
  readonly slot?: number;
  /** Cache index of the chunk's first token. */
  readonly cacheStart?: number;
}

/** Words of the `Step` uniform. */
export function encodeStep(step: Step): Uint32Array<ArrayBuffer> {
  const { rowCount, gridRows = 0, gridColumns = 0, slot = 0, cacheStart = 0 } = step;
  return Uint32Array.of(rowCount, gridRows, gridColumns, slot, cacheStart, 0, 0, 0);
}
