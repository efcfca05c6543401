import type { Recorder } from '../gpu/device.ts';
import type { DecodeReach } from './compile-options.ts';
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

/** The decode steps of each width and reach: compiled when they are first wanted, while narrower or nearer ones go on running. */
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
   * The widest compiled step of up to `most` columns that ranks so many tokens, for sequences of up to `keyCount` keys; one
   * of exactly `most` columns is compiled in the background where it is missing. One column must have been prepared.
   */
  widest(most: number, topCount: number, keyCount: number): StepPlan {
    const rankedCount = toRankedCount(topCount);
    this.#compileFor(most, rankedCount, keyCount);
    // A width that does not compile stays missing: the sequences then take turns in the narrower ones.
    for (let columns = most; columns > 1; columns--) {
      const plan = this.#readyFor(columns, rankedCount, keyCount);
      if (plan) return plan;
    }
    return this.#readyFor(1, rankedCount, keyCount) as StepPlan;
  }

  /** The step of exactly that width, when it is compiled; it is compiled in the background where it is missing. */
  exactly(columns: number, topCount: number, keyCount: number): StepPlan | undefined {
    const rankedCount = toRankedCount(topCount);
    this.#compileFor(columns, rankedCount, keyCount);
    return this.#readyFor(columns, rankedCount, keyCount);
  }

  /**
   * Compiles in the background what a lone sequence needs for many keys, when it has half as many: a running answer
   * then finds it ready.
   */
  expectKeys(keyCount: number, topCount: number): void {
    this.#expectKeys(1, toRankedCount(topCount), keyCount);
  }

  /** Compiles a step, and the ranking of first tokens that goes with it. */
  async prepare(columns: number, topCount: number): Promise<void> {
    const rankedCount = toRankedCount(topCount);
    await this.#compile(columns, rankedCount, 'near');
    if (rankedCount === 0 || this.#firstRankings.has(rankedCount)) return;
    const ranking = await this.#model.ranker.prepareStep(1, rankedCount, TEXT_BUFFERS.firstRow);
    this.#firstRankings.set(rankedCount, ranking);
  }

  /** True when a sequence that wants so many tokens ranked can start. */
  isPrepared(topCount: number): boolean {
    const rankedCount = toRankedCount(topCount);
    return (
      this.#ready.has(toKey(1, rankedCount, 'near')) &&
      (rankedCount === 0 || this.#firstRankings.has(rankedCount))
    );
  }

  /** Records the ranking of a first token's rivals; returns their number. */
  recordFirstRanking(recorder: Recorder, topCount: number): number {
    const rankedCount = toRankedCount(topCount);
    this.#firstRankings.get(rankedCount)?.(recorder);
    return rankedCount;
  }

  #expectKeys(columns: number, rankedCount: number, keyCount: number): void {
    if (keyCount * 2 >= (this.#model.text.farKeys(columns) ?? Infinity)) {
      this.#compileAhead(columns, rankedCount, 'far');
    }
  }

  /** The better one of the forms that are compiled. */
  #readyFor(columns: number, rankedCount: number, keyCount: number): StepPlan | undefined {
    const reach = this.#model.text.reachFor(columns, keyCount);
    const other = reach === 'near' ? 'far' : 'near';
    return (
      this.#ready.get(toKey(columns, rankedCount, reach)) ??
      this.#ready.get(toKey(columns, rankedCount, other))
    );
  }

  #compileFor(columns: number, rankedCount: number, keyCount: number): void {
    this.#expectKeys(columns, rankedCount, keyCount);
    // A lone sequence's near step was prepared.
    if (columns > 1) this.#compileAhead(columns, rankedCount, this.#model.text.reachFor(columns, keyCount));
  }

  #compileAhead(columns: number, rankedCount: number, reach: DecodeReach): void {
    if (this.#compiling.has(toKey(columns, rankedCount, reach))) return;
    this.#compile(columns, rankedCount, reach).then(this.#onReady, () => {});
  }

  #compile(columns: number, rankedCount: number, reach: DecodeReach): Promise<unknown> {
    const key = toKey(columns, rankedCount, reach);
    let compiling = this.#compiling.get(key);
    if (!compiling) {
      compiling = this.#build(columns, rankedCount, reach).then((plan) => this.#ready.set(key, plan));
      this.#compiling.set(key, compiling);
    }
    return compiling;
  }

  async #build(columns: number, rankedCount: number, reach: DecodeReach): Promise<StepPlan> {
    const { text, sampler, ranker } = this.#model;
    const [decode, sample, rank] = await Promise.all([
      text.prepareDecode(columns, reach),
      sampler.prepareSample(columns),
      rankedCount > 0 ? ranker.prepareStep(columns, rankedCount) : undefined,
    ]);
    return { columns, rankedCount, decode, sample, rank };
  }
}

function toRankedCount(topCount: number): number {
  return RANKED_COUNTS.find((count) => count >= topCount) ?? MAX_RANKED;
}

function toKey(columns: number, rankedCount: number, reach: DecodeReach): string {
  return `${columns}/${rankedCount}/${reach}`;
}
