import type { KvSlot } from './kv-slots.ts';
import type { PromptLookup } from './prompt-lookup.ts';
import type { ImageRun, Sequence } from './text-model.ts';
import type { TokenConstraint } from './token-constraint.ts';
import type { SampledToken, SamplerState } from './token-sampler.ts';

/** Features of a prompt's images, held until they are in the cache. */
export interface ImageLease {
  readonly runs: readonly ImageRun[];
  release(): void;
}

/** How the beginning of a prompt is computed before it is asked for. */
export interface PrefillAhead {
  /** A prompt whose slot may be overwritten, behind what both have in common: it will not be asked for again. */
  readonly spent?: readonly number[] | undefined;
}

/** One answer to generate. */
export interface SequenceRequest extends Omit<Sequence, 'images'> {
  /** One key for each token, by which the cache recognises it; see `KvSlot.keys`. */
  readonly keys: readonly number[];
  /** Position of a later token minus its index in the sequence. */
  readonly ropeDelta: number;
  /** Gives the features of the images that reach beyond the first `cachedCount` tokens. Absent: there are no images. */
  readonly encodeImages?: ((cachedCount: number, signal: AbortSignal) => Promise<ImageLease>) | undefined;
  readonly sampler: SamplerState;
  /**
   * Nobody waits for it: it runs while there is nothing else, takes no slot that anybody may need, and ends with what it
   * has when an answer is asked for. Only with `maxTokens` 0.
   */
  readonly ahead?: PrefillAhead | undefined;
  /** 0 only prefills. */
  readonly maxTokens: number;
  /** Tokens to rank at each place of the answer, at most `MAX_RANKED`; 0 ranks none. */
  readonly topCount: number;
  /** Tokens after which nothing more is computed; they are yielded. */
  readonly stopIds?: ReadonlySet<number> | undefined;
  /** Which tokens may come; the sampler's settings must say that there is a mask. */
  readonly constraint?: TokenConstraint | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Ends the sequence as if it were complete, with the tokens that it has. */
  readonly interrupt?: AbortSignal | undefined;
  /** Called before each chunk; for progress. */
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
  /**
   * Called when the chunk [from, to) has left its rows in `normed`; nothing else runs until it resolves. The prompt
   * is then computed from its first token.
   */
  readonly afterChunk?: ((from: number, to: number) => Promise<void>) | undefined;
  /** Called when nothing of the sequence is on the device any more, however it ended. */
  readonly onEnd?: ((summary: SequenceSummary) => void) | undefined;
}

/** Where the time of a sequence went; milliseconds of `performance.now()`, 0 for what was not reached. */
export interface SequenceTimes {
  readonly queuedAt: number;
  /** It got a slot. */
  admittedAt: number;
  /** Its images were encoded, and what others computed of it was there. */
  preparedAt: number;
  prefilledAt: number;
  firstTokenAt: number;
  endedAt: number;
}

/** What a sequence took, known at its end. */
export interface SequenceSummary {
  readonly times: Readonly<SequenceTimes>;
  /** Prompt tokens that were not computed for it. */
  readonly cachedTokens: number;
  /** Prompt tokens that were. */
  readonly computedTokens: number;
  readonly prefillChunks: number;
  /** Decode steps that it was part of. */
  readonly steps: number;
  /** Sequences of an average step of those. */
  readonly meanColumns: number;
  /** Tokens of the answer that a step gave beyond its first one, because they had been guessed. */
  readonly guessedTokens: number;
}

/**
 * `following` waits for another sequence that is computing its beginning; `preparing` waits for its images.
 */
export type SequenceState = 'waiting' | 'following' | 'preparing' | 'prefilling' | 'running' | 'ended';

/** Tokens that a reader may be behind before its sequence pauses. */
export const MAX_UNREAD = 32;

/** A sequence on its way through the scheduler: its state there, and the tokens that its reader has not taken. */
export class ActiveSequence {
  readonly request: SequenceRequest;
  /** Tokens of the answer at most. */
  readonly limit: number;
  readonly times: SequenceTimes;
  state: SequenceState = 'waiting';
  slot: KvSlot | undefined;
  /** The sequence that computes this one's beginning, while it is followed. */
  leader: ActiveSequence | undefined;
  images: ImageLease | undefined;
  /** It ended by a fault: what its slot holds may be of no use. */
  isFaulty = false;
  cachedCount = 0;
  /** Tokens of the prompt whose computation was submitted. */
  prefilled = 0;
  /** Tokens of the answer whose steps were submitted. */
  issued = 0;
  /** Submitted work that it is part of and that was not heard of yet. */
  inFlight = 0;
  /** Number of the last chunk or step that was its own. */
  lastTurn = 0;
  chunkCount = 0;
  stepCount = 0;
  columnCount = 0;
  guessedCount = 0;
  /** Its own past, to guess from; undefined where guesses are of no use to it. */
  lookup: PromptLookup | undefined;
  /** A step with guesses is under way: how many tokens it gives is not known. */
  isGuessing = false;
  /** Fires when it ends; for what is done before its prompt is computed. */
  readonly stop = new AbortController();
  /** Resolves when the sequence has left the scheduler and nothing of it is on the device. */
  readonly gone: Promise<void>;
  readonly #unread: SampledToken[] = [];
  readonly #onRead: () => void;
  #markGone!: () => void;
  #lastId: number | undefined;
  #error: unknown;
  #wakeReader: (() => void) | undefined;

  /** @param onRead called when the reader makes room */
  constructor(request: SequenceRequest, { room, onRead }: { room: number; onRead: () => void }) {
    this.request = request;
    this.limit = Math.min(request.maxTokens, room);
    this.#onRead = onRead;
    const never = 0;
    this.times = {
      queuedAt: performance.now(),
      admittedAt: never,
      preparedAt: never,
      prefilledAt: never,
      firstTokenAt: never,
      endedAt: never,
    };
    this.gone = new Promise((resolve) => {
      this.#markGone = resolve;
    });
  }

  get isEnded(): boolean {
    return this.state === 'ended';
  }

  /** True when a decode step may take it in. */
  get canStep(): boolean {
    if (this.state !== 'running' || this.isGuessing || this.issued >= this.limit) return false;
    // A mask is known only when the last token is.
    if (this.request.constraint && this.inFlight > 0) return false;
    return this.#unread.length + this.inFlight < MAX_UNREAD;
  }

  /** True when its next step may try so many tokens at once. */
  hasRoomFor(tokenCount: number): boolean {
    return (
      this.canStep && this.issued + tokenCount <= this.limit && this.#unread.length + tokenCount < MAX_UNREAD
    );
  }

  /** Keys that its next step attends to, once its prompt is computed. */
  get keyCount(): number {
    return this.request.tokenIds.length + this.issued;
  }

  get lastId(): number | undefined {
    return this.#lastId;
  }

  get summary(): SequenceSummary {
    const { times, cachedCount, chunkCount, stepCount, columnCount, guessedCount } = this;
    return {
      times: { ...times },
      cachedTokens: cachedCount,
      computedTokens: this.prefilled - cachedCount,
      prefillChunks: chunkCount,
      steps: stepCount,
      meanColumns: stepCount === 0 ? 0 : columnCount / stepCount,
      guessedTokens: guessedCount,
    };
  }

  /** The next token, or undefined after the last one. @throws what ended the sequence early */
  async next(): Promise<SampledToken | undefined> {
    while (this.#unread.length === 0 && !this.isEnded) {
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    const token = this.#unread.shift();
    if (this.#unread.length + 1 === MAX_UNREAD) this.#onRead();
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- passed on as it came
    if (!token && this.#error !== undefined) throw this.#error;
    return token;
  }

  /** Takes the answer's next token from the device. */
  deliver(token: SampledToken, index: number): void {
    if (this.isEnded) return;
    this.times.firstTokenAt ||= performance.now();
    // The step that computed this token had taken in all earlier ones.
    if (this.#lastId !== undefined) this.slot?.keys.push(this.#lastId);
    this.#lastId = token.id;
    this.lookup?.push(token.id);
    try {
      this.request.constraint?.accept(token.id);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#unread.push(token);
    if (index + 1 >= this.limit || this.request.stopIds?.has(token.id)) this.end();
    this.#wakeReader?.();
  }

  /** Ends it; tokens that are unread can still be read. */
  end(): void {
    if (this.isEnded) return;
    this.state = 'ended';
    this.times.endedAt = performance.now();
    this.stop.abort();
    this.#wakeReader?.();
  }

  /** Ends it with a fault, which the reader gets after the unread tokens. */
  fail(error: unknown): void {
    if (this.isEnded) return;
    this.#error = error;
    this.isFaulty = true;
    this.end();
  }

  /** Ends it now; unread tokens are dropped. */
  abort(reason: unknown): void {
    // Also when its last token has come: the caller no longer wants what is unread.
    this.#unread.length = 0;
    this.#error ??= reason;
    this.end();
  }

  releaseImages(): void {
    this.images?.release();
    this.images = undefined;
  }

  markGone(): void {
    this.#markGone();
  }
}
