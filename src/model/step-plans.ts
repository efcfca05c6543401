import type { Recorder } from '../gpu/device.ts';
import type { LanguageModel } from './language-model.ts';
import { MAX_RANKED } from './logprob-ranker.ts';
import { TEXT_BUFFERS } from './text-buffers.ts';

type Record = (recorder: Recorder) => void;

/** A decode step that is compiled and can be recorded. */
export interface StepPlan {
  readonly columns: number;
  /** Tokens that it ranks for each column: 0, or at least as many as were asked for. */
  readonly rankedCount: number;
  readonly decode: Record;
  readonly sample: Record;
  readonly rank: Record | undefined;
}

/** Few ranking sizes, so that few are compiled. */
const RANKED_COUNTS = [0, 5, MAX_RANKED] as const;

/** The decode steps of each width: compiled when they are first wanted, while narrower ones go on running. */
export class StepPlans {
  readonly #model: LanguageModel;
  readonly #onReady: () => void;
  readonly #ready = new Map<string, StepPlan>();
  readonly #compiling = new Map<string, Promise<unknown>>();
  readonly #firstRankings = new Map<number, Record>();

  /** @param onReady called when a step was compiled in the background */
  constructor(model: LanguageModel, onReady: () => void) {
    this.#model = model;
    this.#onReady = onReady;
  }

  /**
   * The widest compiled step of up to `most` columns that ranks so many tokens; one of exactly `most` columns is
   * compiled in the background where it is missing. One column must have been prepared.
   */
  widest(most: number, topCount: number): StepPlan {
    const rankedCount = toRankedCount(topCount);
    if (!this.#ready.has(toKey(most, rankedCount))) {
      // A width that does not compile stays missing: the sequences then take turns in the narrower ones.
      this.#compile(most, rankedCount).then(this.#onReady, () => {});
    }
    for (let columns = most; columns > 1; columns--) {
      const plan = this.#ready.get(toKey(columns, rankedCount));
      if (plan) return plan;
    }
    return this.#ready.get(toKey(1, rankedCount)) as StepPlan;
  }

  /** The step of exactly that width, when it is compiled. */
  get(columns: number, topCount: number): StepPlan | undefined {
    return this.#ready.get(toKey(columns, toRankedCount(topCount)));
  }

  /** Compiles a step, and the ranking of first tokens that goes with it. */
  async prepare(columns: number, topCount: number): Promise<void> {
    const rankedCount = toRankedCount(topCount);
    await this.#compile(columns, rankedCount);
    if (rankedCount === 0 || this.#firstRankings.has(rankedCount)) return;
    const ranking = await this.#model.ranker.prepareStep(1, rankedCount, TEXT_BUFFERS.firstRow);
    this.#firstRankings.set(rankedCount, ranking);
  }

  /** True when a sequence that wants so many tokens ranked can start. */
  isPrepared(topCount: number): boolean {
    const rankedCount = toRankedCount(topCount);
    return (
      this.#ready.has(toKey(1, rankedCount)) && (rankedCount === 0 || this.#firstRankings.has(rankedCount))
    );
  }

  /** Records the ranking of a first token's rivals; returns their number. */
  recordFirstRanking(recorder: Recorder, topCount: number): number {
    const rankedCount = toRankedCount(topCount);
    this.#firstRankings.get(rankedCount)?.(recorder);
    return rankedCount;
  }

  #compile(columns: number, rankedCount: number): Promise<unknown> {
    const key = toKey(columns, rankedCount);
    let compiling = this.#compiling.get(key);
    if (!compiling) {
      compiling = this.#build(columns, rankedCount).then((plan) => this.#ready.set(key, plan));
      this.#compiling.set(key, compiling);
    }
    return compiling;
  }

  async #build(columns: number, rankedCount: number): Promise<StepPlan> {
    const { text, sampler, ranker } = this.#model;
    const [decode, sample, rank] = await Promise.all([
      text.prepareDecode(columns),
      sampler.prepareSample(columns),
      rankedCount > 0 ? ranker.prepareStep(columns, rankedCount) : undefined,
    ]);
    return { columns, rankedCount, decode, sample, rank };
  }
}

function toRankedCount(topCount: number): number {
  return RANKED_COUNTS.find((count) => count >= topCount) ?? MAX_RANKED;
}

function toKey(columns: number, rankedCount: number): string {
  return `${columns}/${rankedCount}`;
}
