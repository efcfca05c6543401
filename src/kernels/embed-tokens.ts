import source from '#shaders/embed-tokens.wgsl?raw';
import type { BufferRef, KernelCall, WeightMatrix } from './kernel.ts';
import { ROW, weightPrelude } from './prelude-sources.ts';
import { weightBindings } from './weight-bindings.ts';

/** What `embedTokens` reads and writes; shapes in brackets. */
export interface EmbedTokensOptions {
  readonly label: string;
  /** [V, C] */
  readonly table: WeightMatrix;
  /** [T] `Row`s */
  readonly rows: BufferRef;
  /** [image tokens, C] f32 */
  readonly features: BufferRef;
  /** [T, C] f32 */
  readonly hidden: BufferRef;
}

/** Looks tokens up in the embedding table, or among the image features; one call for each part of the table. */
export function embedTokens({ label, table, rows, features, hidden }: EmbedTokensOptions): KernelCall[] {
  return table.parts.map((part) => ({
    label,
    program: {
      shader: 'embed-tokens',
      source,
      preludes: [ROW, weightPrelude(table.format)],
      constants: { K: table.K, FIRST_ID: part.firstRow, ID_COUNT: part.rowCount },
    },
    bindings: { ...weightBindings(part), rows, features, hidden },
    grid: [{ rows: 'tokens', per: 1 }, 1, 1],
  }));
}
