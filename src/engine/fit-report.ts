import type { FitSettings } from '../model/model-fit.ts';

/** What a model takes on a GPU and what was given up so that it fits; plain data. */
export interface FitReport extends Omit<FitSettings, 'context'> {
  /** Tokens that prompt and answer may hold together. */
  readonly contextWindow: number;
  /** Patches of the largest image that the plan has room for; 0 for a model that takes no images. */
  readonly patchCount: number;
  /**
   * How it is known that there is room: the buffers were `allocated` now, or an earlier time on this adapter
   * (`remembered`), or it was only `planned`.
   */
  readonly proof: 'allocated' | 'remembered' | 'planned';
}
