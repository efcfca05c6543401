import { AutoglmError } from '../base/errors.ts';
import type { Recorder } from '../gpu/device.ts';
import { ActiveSequence, type SequenceRequest } from './active-sequence.ts';
import { DecodeColumns } from './decode-columns.ts';
import { countCommon, KvSlots, type KvSlot } from './kv-slots.ts';
import type { LanguageModel } from './language-model.ts';
import type { RankedToken } from './ranked-token.ts';
import { PromptLookup } from './prompt-lookup.ts';
import { Speculation, type SpeculationMode } from './speculation.ts';
import { encodeRows, ROW_BYTES, type Row } from './step.ts';
import { StepDepth } from './step-depth.ts';
import { StepPlans, type StepPlan } from './step-plans.ts';
import { MAX_COLUMNS, MAX_GUESS_COLUMNS, TEXT_BUFFERS } from './text-buffers.ts';
import type { SampledResults, SampledToken } from './token-sampler.ts';

/** How a scheduler runs. */
export interface SchedulerOptions {
  /** Decode steps that are submitted before the first one's tokens are read; default: as their time demands. */
  readonly stepsInFlight?: number | undefined;
  /** Whether a lone sequence guesses its next tokens from its own past; default `off`. */
  readonly speculation?: SpeculationMode | undefined;
}

/** Decode steps between two prefill chunks while both have work: running answers slow down, but never stop. */
const STEPS_PER_CHUNK = 4;

/** Prompts that wait to be computed ahead; the oldest gives way to another one. */
const MOST_AHEAD = 8;

/** Tokens below which a common beginning is computed again rather than waited for or copied. */
const LEAST_SHARED = 16;

/** Work that was submitted. It ends in the order of submission. */
interface Unit {
  readonly isChunk: boolean;
  readonly done: Promise<SampledResults | undefined>;
  readonly deliveries: readonly Delivery[];
  readonly guess?: Guess;
}

/** A step whose columns are the next token of a sequence and guesses of those after it. */
interface Guess {
  readonly sequence: ActiveSequence;
  readonly slot: number;
  /** Index of the answer's token that the first column gives. */
  readonly first: number;
  readonly ids: readonly number[];
  readonly startedAt: number;
}

/** A sequence's part in a unit: a token of its answer, or a chunk of its prompt (index undefined). */
interface Delivery {
  readonly sequence: ActiveSequence;
  readonly slot: number;
  readonly index: number | undefined;
  readonly top?: Promise<RankedToken[]> | undefined;
}

/**
 * Runs many sequences on one model. Up to `MAX_COLUMNS` decode together; each joins when its prompt is computed and
 * leaves when it ends, and no other waits for that.
 *
 * Order: sequences get slots first come, first served. Prompts are computed chunk by chunk, in turn; while others
 * decode, `STEPS_PER_CHUNK` steps come between two chunks. All running sequences are in every step, unless there are
 * more than the widest compiled step takes: then they take turns. A reader that falls `MAX_UNREAD` tokens behind
 * pauses its own sequence only. Prompts that are computed ahead of their requests come when there is nothing else, one
 * at a time; the next request ends them all.
 *
 * Token ids go from the sampler to the next step on the device; the host reads them late, so that the device never
 * waits for it. Steps that were submitted for a sequence that has ended write only beyond the tokens that it gave.
 */
export class Scheduler {
  readonly slots: KvSlots;
  readonly #model: LanguageModel;
  readonly #stepsInFlight: number | undefined;
  readonly #depth = new StepDepth();
  readonly #columns: DecodeColumns;
  readonly #plans: StepPlans;
  readonly #recordFirstSample: (recorder: Recorder) => void;
  /** Without a slot, in the order of asking. */
  readonly #waiting: ActiveSequence[] = [];
  /** Computed while nothing else is there; without a slot, in the order of asking. */
  readonly #ahead: ActiveSequence[] = [];
  /** With a slot, in the order of getting it. */
  #active: ActiveSequence[] = [];
  /** Oldest first. */
  readonly #inFlight: Unit[] = [];
  #running: Promise<void> | undefined;
  #isAwake = false;
  #wake: (() => void) | undefined;
  #stepsSinceChunk = STEPS_PER_CHUNK;
  #turn = 0;
  readonly #speculation: Speculation;
  /** A step with guesses was decided on, and what is in flight must end first. */
  #isHolding = false;
  /** When the last plain step of one sequence ended; undefined when something else came after it. */
  #lastStepAt: number | undefined;

  constructor(
    model: LanguageModel,
    parts: SchedulerOptions & { readonly recordFirstSample: (recorder: Recorder) => void },
  ) {
    this.#model = model;
    this.slots = new KvSlots(model.options.slots);
    this.#stepsInFlight = parts.stepsInFlight;
    this.#columns = new DecodeColumns(model.buffers);
    this.#plans = new StepPlans(model, () => this.#wakeUp());
    this.#recordFirstSample = parts.recordFirstSample;
    this.#speculation = new Speculation(parts.speculation ?? 'off');
  }

  /** Compiles what one sequence needs. */
  static async create(model: LanguageModel, options: SchedulerOptions): Promise<Scheduler> {
    const recordFirstSample = await model.sampler.prepareFirst();
    const scheduler = new Scheduler(model, { ...options, recordFirstSample });
    await scheduler.#plans.prepare(1, 0);
    return scheduler;
  }

  /** Sequences that wait for a slot, and that have one. */
  get load(): { readonly waiting: number; readonly active: number } {
    return { waiting: this.#waiting.length + this.#ahead.length, active: this.#active.length };
  }

  /** Resolves when no sequence is left and nothing is on the device. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /**
   * Prefills a sequence and yields sampled tokens. Leaving the loop stops the work; it returns when nothing of the
   * sequence is on the device any more.
   *
   * @throws AutoglmError `prompt-too-long`, `device-lost`, `internal`; what the constraint throws; the signal's
   *   reason within one prefill chunk or one token
   */
  async *generate(request: SequenceRequest): AsyncGenerator<SampledToken, void> {
    const sequence = this.#submit(request);
    const { signal, interrupt } = request;
    const onAbort = (): void => {
      sequence.abort(signal?.reason);
      this.#wakeUp();
    };
    const onInterrupt = (): void => {
      sequence.end();
      this.#wakeUp();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    interrupt?.addEventListener('abort', onInterrupt, { once: true });
    try {
      for (;;) {
        const token = await sequence.next();
        if (!token) return;
        yield token;
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      interrupt?.removeEventListener('abort', onInterrupt);
      sequence.end();
      this.#wakeUp();
      await sequence.gone;
      request.onEnd?.(sequence.summary);
    }
  }

  /**
   * Reads what the cache holds of the beginning of `keys`, layer by layer. Sequences run on meanwhile, but none may
   * overwrite it.
   */
  async readCache(
    keys: readonly number[],
    take: (layer: number, bytes: Uint8Array<ArrayBuffer>, count: number) => Promise<void>,
  ): Promise<number> {
    const { cache } = this.#model;
    const { source, count } = this.slots.match(keys, keys.length);
    if (count === 0) return 0;
    this.slots.hold(source);
    try {
      for (let layer = 0; layer < cache.layerCount; layer++) {
        await take(layer, await cache.readLayer(layer, source.index, count), count);
      }
    } finally {
      this.slots.unhold(source);
      this.#wakeUp();
    }
    return count;
  }

  /**
   * Puts what `readCache` gave for `keys` back into the cache, in place of what was not used for the longest time.
   *
   * @throws AutoglmError `engine-busy` while every slot runs; what `give` throws: the slot is then empty
   */
  async writeCache(
    keys: readonly number[],
    give: (layer: number) => Promise<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    const { cache } = this.#model;
    if (this.slots.match(keys, keys.length).count === keys.length) return;
    const grant = this.slots.acquire([]);
    if (!grant) {
      throw new AutoglmError('engine-busy', 'Every part of the KV cache is in use.', {
        value: this.slots.all.length,
        cure: 'Wait for an answer to end, or load with more slots.',
      });
    }
    const { slot } = grant;
    this.slots.truncate(slot, 0);
    try {
      for (let layer = 0; layer < cache.layerCount; layer++) {
        cache.writeLayer(layer, slot.index, keys.length, await give(layer));
      }
      slot.keys.push(...keys);
    } finally {
      this.slots.release(slot);
      this.#wakeUp();
    }
  }

  #submit(request: SequenceRequest): ActiveSequence {
    const { text, options } = this.#model;
    const promptCount = request.tokenIds.length;
    text.requireFits(promptCount);
    request.signal?.throwIfAborted();
    // The last token needs no place in the cache: nothing is computed from it.
    const room = options.context - promptCount + 1;
    const sequence = new ActiveSequence(request, { room, onRead: () => this.#wakeUp() });
    if (request.ahead) {
      this.#ahead.push(sequence);
      if (this.#ahead.length > MOST_AHEAD) this.#ahead[0].end();
    } else {
      for (const other of [...this.#ahead, ...this.#active]) if (other.request.ahead) other.end();
      this.#waiting.push(sequence);
    }
    this.#wakeUp();
    this.#running ??= this.#run();
    return sequence;
  }

  #wakeUp(): void {
    this.#isAwake = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    // Requests of the same moment start together.
    await Promise.resolve();
    try {
      for (;;) {
        this.#isAwake = false;
        this.#retire();
        this.#admit();
        this.#admitAhead();
        this.#follow();
        if (await this.#issue()) continue;
        const oldest = this.#inFlight.shift();
        if (oldest) await this.#settle(oldest);
        else if (this.load.waiting + this.load.active === 0) return;
        else await this.#sleep();
      }
    } catch (error) {
      this.#failAll(error);
    } finally {
      this.#running = undefined;
    }
  }

  async #sleep(): Promise<void> {
    if (this.#isAwake) return;
    this.#lastStepAt = undefined;
    this.#depth.interrupt();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /** Takes slots back from sequences that have ended. */
  #retire(): void {
    for (const line of [this.#waiting, this.#ahead]) {
      for (let index = line.length - 1; index >= 0; index--) {
        if (line[index].isEnded) line.splice(index, 1)[0].markGone();
      }
    }
    for (const sequence of this.#active) {
      if (!sequence.isEnded) continue;
      // What is still on the device for it comes before anything that the slot's next sequence submits.
      if (sequence.slot) {
        this.#columns.forget(sequence.slot.index);
        if (sequence.isFaulty) this.slots.truncate(sequence.slot, 0);
        this.slots.release(sequence.slot);
        sequence.slot = undefined;
      }
      sequence.releaseImages();
      sequence.leader = undefined;
      if (sequence.inFlight === 0) sequence.markGone();
    }
    this.#active = this.#active.filter(({ isEnded, inFlight }) => !isEnded || inFlight > 0);
  }

  /** A fault of the device ends everything. */
  #failAll(error: unknown): void {
    for (const sequence of [...this.#waiting, ...this.#ahead, ...this.#active]) {
      sequence.fail(error);
      sequence.inFlight = 0;
    }
    this.#inFlight.length = 0;
    this.#retire();
  }

  #admit(): void {
    while (this.#waiting.length > 0) {
      const sequence = this.#waiting[0];
      const grant = this.slots.acquire(sequence.request.keys, this.#mostCached(sequence));
      if (!grant) return;
      this.#waiting.shift();
      sequence.slot = grant.slot;
      sequence.times.admittedAt = performance.now();
      this.#active.push(sequence);
      sequence.leader = this.#findLeader(sequence, grant.count);
      if (sequence.leader) sequence.state = 'following';
      else this.#begin(sequence, grant.source, grant.count);
    }
  }

  /** Begins a prompt that nobody has asked for yet, when there is nothing else. */
  #admitAhead(): void {
    while (this.#waiting.length + this.#active.length === 0) {
      const sequence = this.#ahead.shift();
      if (!sequence) return;
      const { keys, ahead } = sequence.request;
      const { count } = this.slots.match(keys, keys.length);
      const grant = count === keys.length ? undefined : this.slots.acquireSpare(keys, ahead?.spent);
      if (grant) {
        sequence.slot = grant.slot;
        sequence.times.admittedAt = performance.now();
        this.#active.push(sequence);
        this.#begin(sequence, grant.source, grant.count);
      } else {
        // All of it is there, or there is no room for it.
        sequence.cachedCount = sequence.prefilled = count;
        sequence.end();
        sequence.markGone();
      }
    }
  }

  /** Lets sequences go on that waited for another one to compute their beginning. */
  #follow(): void {
    for (const sequence of this.#active) {
      if (sequence.state !== 'following') continue;
      const { keys } = sequence.request;
      const { source, count } = this.slots.match(keys, this.#mostCached(sequence));
      sequence.leader = this.#findLeader(sequence, count);
      if (!sequence.leader) this.#begin(sequence, source, count);
    }
  }

  /** A sequence that is computing more of this one's beginning than the cache holds. */
  #findLeader(sequence: ActiveSequence, cachedCount: number): ActiveSequence | undefined {
    const { keys, afterChunk } = sequence.request;
    if (afterChunk) return undefined;
    let best: ActiveSequence | undefined;
    let most = cachedCount + LEAST_SHARED - 1;
    for (const other of this.#active) {
      if (other === sequence || (other.state !== 'preparing' && other.state !== 'prefilling')) continue;
      const common = countCommon(other.request.keys, keys);
      const isSame = common === keys.length && common === other.request.keys.length;
      // Equal prompts share even the logits of their last token.
      if (isSame) return other;
      if (common > most) [best, most] = [other, common];
    }
    return best;
  }

  #mostCached({ request: { keys, afterChunk } }: ActiveSequence): number {
    return afterChunk ? 0 : keys.length - 1;
  }

  /** Starts a sequence from the first `count` tokens of a slot. */
  #begin(sequence: ActiveSequence, source: KvSlot, count: number): void {
    const slot = sequence.slot as KvSlot;
    const isShared = source === slot || count >= LEAST_SHARED;
    const cached = isShared ? count : 0;
    this.#takeOver(slot, source, cached);
    sequence.cachedCount = cached;
    sequence.prefilled = cached;
    this.#model.sampler.start(slot.index, sequence.request.sampler);
    const { encodeImages, tokenIds, topCount } = sequence.request;
    // Compiled while the prompt is computed.
    this.#plans.expectKeys(tokenIds.length, topCount);
    sequence.state = 'preparing';
    if (encodeImages || !this.#plans.isPrepared(topCount)) void this.#prepare(sequence);
    else this.#markPrepared(sequence);
  }

  /** Makes a slot hold the first `count` tokens of another, or of itself, and nothing else. */
  #takeOver(slot: KvSlot, source: KvSlot, count: number): void {
    if (source !== slot && count > 0) {
      const { device, cache } = this.#model;
      const recorder = device.createRecorder('copy cache');
      cache.recordCopy(recorder, { from: source.index, to: slot.index, count });
      recorder.submit();
      slot.keys.length = 0;
      for (let index = 0; index < count; index++) slot.keys.push(source.keys[index]);
    }
    this.slots.truncate(slot, count);
  }

  async #prepare(sequence: ActiveSequence): Promise<void> {
    const { encodeImages, topCount } = sequence.request;
    sequence.inFlight++;
    try {
      await this.#plans.prepare(1, topCount);
      const images = await encodeImages?.(sequence.cachedCount, sequence.stop.signal);
      if (sequence.isEnded) images?.release();
      else sequence.images = images;
      this.#markPrepared(sequence);
    } catch (error) {
      sequence.fail(error);
    }
    sequence.inFlight--;
    this.#wakeUp();
  }

  #markPrepared(sequence: ActiveSequence): void {
    if (sequence.isEnded) return;
    sequence.state = 'prefilling';
    sequence.times.preparedAt = performance.now();
  }

  /** Submits the next piece of work; false when there is none, or enough is under way. */
  async #issue(): Promise<boolean> {
    const prefilling = this.#active.filter(({ state }) => state === 'prefilling');
    const running = this.#active.filter(({ canStep }) => canStep);
    const chunksInFlight = this.#inFlight.filter(({ isChunk }) => isChunk).length;
    const isStepsTurn = this.#stepsSinceChunk < STEPS_PER_CHUNK && running.length > 0;
    // One at a time: only an empty queue can be stopped.
    if (prefilling.length > 0 && chunksInFlight === 0 && !isStepsTurn) {
      await this.#issueChunk(prefilling.reduce((a, b) => (b.lastTurn < a.lastTurn ? b : a)));
      return true;
    }
    const isConstrained = this.#active.some(
      ({ state, request }) => state === 'running' && request.constraint,
    );
    const most = isConstrained ? 1 : (this.#stepsInFlight ?? this.#depth.most);
    const stepsInFlight = this.#inFlight.length - chunksInFlight;
    if (running.length === 0 || stepsInFlight >= most) return false;
    if (prefilling.length > 0 && !isStepsTurn) return false;
    const guesses = this.#chooseGuesses(running[0]);
    if (!guesses) await this.#issueStep(running);
    else if (this.#inFlight.length > 0) return false;
    else this.#issueGuess(running[0], guesses);
    return true;
  }

  async #issueChunk(sequence: ActiveSequence): Promise<void> {
    const { device, text } = this.#model;
    const { request, images } = sequence;
    const slot = sequence.slot as KvSlot;
    const total = request.tokenIds.length;
    const from = sequence.prefilled;
    const othersWait = this.#active.some((other) => other !== sequence && other.state === 'running');
    const most = request.ahead ? text.pace.mostAhead() : text.pace.most({ othersWait });
    const to = Math.min(total, from + most);
    this.#stepsSinceChunk = 0;
    sequence.lastTurn = ++this.#turn;
    const isLast = to === total && sequence.limit > 0;
    if (isLast) await this.#writeMask(sequence);
    if (sequence.isEnded) return;
    request.onPrefill?.(from - sequence.cachedCount, total - sequence.cachedCount);
    const startedAt = performance.now();
    const recorder = device.createRecorder(`prefill ${from}..${to}`);
    const keepsRows = request.afterChunk !== undefined;
    const chunk = { from, to, slot: slot.index, keepsRows, needsLogits: isLast };
    text.recordChunk(recorder, { ...request, images: images?.runs ?? [] }, chunk);
    sequence.prefilled = to;
    sequence.chunkCount++;
    for (let index = from; index < to; index++) slot.keys.push(request.keys[index]);
    if (isLast) {
      await this.#submitLast(recorder, sequence, slot);
    } else {
      recorder.submit();
      const noteTime = (): void => text.pace.note(to - from, performance.now() - startedAt);
      this.#pushChunk(sequence, slot, device.idle().then(noteTime));
    }
    if (to === total) sequence.releaseImages();
    if (request.afterChunk) await this.#finishChunk(sequence, { from, to });
  }

  /** Submits a prompt's last chunk and the choice of the first token, from whose logits those of equal prompts begin. */
  async #submitLast(recorder: Recorder, sequence: ActiveSequence, slot: KvSlot): Promise<void> {
    const { device, text, sampler } = this.#model;
    let choosing = recorder;
    let raw: Float32Array<ArrayBuffer> | undefined;
    if (sequence.request.constraint?.processLogits) {
      recorder.submit();
      raw = await this.#processLogits(sequence, 0);
      if (sequence.isEnded) return this.#pushChunk(sequence, slot, device.idle());
      choosing = device.createRecorder('sample');
    }
    const deliveries = [this.#submitFirst(choosing, sequence)];
    // Others begin from what the model said, not from what became of it.
    if (raw) device.write(text.logits, 0, raw);
    deliveries.push(...(await this.#shareLogits(sequence)));
    this.#push({ isChunk: true, done: sampler.readResults(), deliveries });
  }

  /** Notes a chunk that gives no token. */
  #pushChunk(sequence: ActiveSequence, slot: KvSlot, done: Promise<void>): void {
    const deliveries = [{ sequence, slot: slot.index, index: undefined }];
    this.#push({ isChunk: true, done: done.then(() => undefined), deliveries });
  }

  /** Runs what the caller wants to do with a chunk, before anything else overwrites it. */
  async #finishChunk(sequence: ActiveSequence, { from, to }: { from: number; to: number }): Promise<void> {
    await this.#model.device.idle();
    try {
      await sequence.request.afterChunk?.(from, to);
      sequence.request.signal?.throwIfAborted();
    } catch (error) {
      sequence.fail(error);
    }
  }

  /** Samples the first token from the logits that the recorder computes, and submits it. */
  #submitFirst(recorder: Recorder, sequence: ActiveSequence): Delivery {
    const { device, buffers, ranker } = this.#model;
    const { tokenIds, ropeDelta, topCount } = sequence.request;
    const { index: slot } = sequence.slot as KvSlot;
    const last = tokenIds.length - 1;
    const place = last + ropeDelta;
    // The sampler moves the row on by one token and puts the chosen id in.
    const row = { position: [place, place, place], token: 0, cacheIndex: last, slot, generated: 0 } as const;
    device.write(buffers.get(TEXT_BUFFERS.firstRow), 0, encodeRows([row]));
    this.#recordFirstSample(recorder);
    const rankedCount = this.#plans.recordFirstRanking(recorder, topCount);
    this.#columns.recordFirst(recorder, slot);
    recorder.submit();
    // Whatever was called while the chunk was recorded may have ended it.
    if (!sequence.isEnded) sequence.state = 'running';
    sequence.issued = 1;
    if (this.#canGuess(sequence)) sequence.lookup = new PromptLookup(Array.from(tokenIds));
    const top = topCount > 0 ? ranker.readStep(slot, 0, rankedCount) : undefined;
    return { sequence, slot, index: 0, top };
  }

  #canGuess({ request: { constraint, topCount, sampler } }: ActiveSequence): boolean {
    // Counts for penalties would take wrong guesses in.
    return this.#speculation.mode !== 'off' && !constraint && topCount === 0 && !sampler.counts;
  }

  /** Lets the sequences with the same prompt begin from the logits that the leader has just computed. */
  async #shareLogits(leader: ActiveSequence): Promise<Delivery[]> {
    const deliveries: Delivery[] = [];
    const followers = this.#active.filter(
      ({ state, leader: followed }) => state === 'following' && followed === leader,
    );
    for (const follower of followers) {
      const { keys, sampler, topCount } = follower.request;
      const isSame =
        keys.length === leader.request.keys.length && countCommon(keys, leader.request.keys) === keys.length;
      // One whose logits are changed on the host computes its own.
      if (!isSame || !this.#plans.isPrepared(topCount) || follower.request.constraint?.processLogits)
        continue;
      await this.#writeMask(follower);
      if (follower.isEnded) continue;
      const slot = follower.slot as KvSlot;
      this.#takeOver(slot, leader.slot as KvSlot, keys.length);
      follower.cachedCount = keys.length;
      follower.prefilled = keys.length;
      follower.leader = undefined;
      this.#model.sampler.start(slot.index, sampler);
      this.#markPrepared(follower);
      deliveries.push(this.#submitFirst(this.#model.device.createRecorder('share prefill'), follower));
    }
    return deliveries;
  }

  async #issueStep(running: readonly ActiveSequence[]): Promise<void> {
    const { device, sampler, ranker } = this.#model;
    const topCount = Math.max(...running.map(({ request }) => request.topCount));
    const keyCount = Math.max(...running.map((sequence) => sequence.keyCount));
    const plan = this.#plans.widest(Math.min(MAX_COLUMNS, running.length), topCount, keyCount);
    const chosen = chooseColumns(running, plan.columns);
    const slots = chosen.map(({ slot }) => (slot as KvSlot).index);
    this.#stepsSinceChunk++;
    let recorder = device.createRecorder(`decode x${plan.columns}`);
    this.#columns.recordArrangement(recorder, slots);
    plan.decode(recorder);
    const constrained = chosen.filter(({ request }) => request.constraint);
    if (constrained.length > 0) {
      // Masks are made while the device computes the logits that they will be put on.
      recorder.submit();
      await Promise.all(
        constrained.map(async (sequence) => {
          await this.#writeMask(sequence);
          await this.#processLogits(sequence, chosen.indexOf(sequence));
        }),
      );
      recorder = device.createRecorder('sample');
    }
    plan.sample(recorder);
    plan.rank?.(recorder);
    const done = sampler.submitAndRead(recorder);
    const turn = ++this.#turn;
    const deliveries = chosen.map((sequence, column): Delivery => {
      const index = sequence.issued++;
      sequence.lastTurn = turn;
      sequence.stepCount++;
      sequence.columnCount += plan.columns;
      const isRanked = sequence.request.topCount > 0;
      const top = isRanked ? ranker.readStep(slots[column], index, plan.rankedCount) : undefined;
      return { sequence, slot: slots[column], index, top };
    });
    this.#push({ isChunk: false, done, deliveries });
  }

  /** What to try beyond the next token of a sequence that runs alone; undefined for a plain step. */
  #chooseGuesses(sequence: ActiveSequence): readonly number[] | undefined {
    const wasHolding = this.#isHolding;
    this.#isHolding = false;
    if (!sequence.lookup || this.#active.length > 1 || !sequence.hasRoomFor(MAX_GUESS_COLUMNS))
      return undefined;
    const ids = sequence.lookup.guess(MAX_GUESS_COLUMNS - 1);
    if (!ids) return undefined;
    // Compiled in the background; a later guess finds it.
    if (!this.#plans.exactly(MAX_GUESS_COLUMNS, 0, sequence.keyCount)) return undefined;
    if (!wasHolding && !this.#speculation.shouldGuess()) return undefined;
    this.#isHolding = true;
    return ids;
  }

  /**
   * Submits a step whose columns are a sequence's next token and guesses after it, at successive places of its slot.
   * Each layer writes the keys of all columns before any column attends, and a column sees the places up to its own,
   * so a column computes what a plain step would if the guesses before it are right.
   */
  #issueGuess(sequence: ActiveSequence, ids: readonly number[]): void {
    const { device, text, sampler } = this.#model;
    const slot = (sequence.slot as KvSlot).index;
    const plan = this.#plans.exactly(MAX_GUESS_COLUMNS, 0, sequence.keyCount) as StepPlan;
    this.#isHolding = false;
    this.#stepsSinceChunk++;
    this.#columns.forget(slot);
    const saving = device.createRecorder('save rows');
    this.#columns.recordSave(saving);
    saving.submit();
    const tokens = [sequence.lastId as number, ...ids];
    const rows = tokens.map((token, ahead) => toRow(sequence, slot, { token, ahead }));
    device.write(text.decodeRows, 0, encodeRows(rows));
    const recorder = device.createRecorder(`guess x${plan.columns}`);
    plan.decode(recorder);
    plan.sample(recorder);
    recorder.submit();
    sequence.isGuessing = true;
    sequence.stepCount++;
    sequence.columnCount++;
    const guess = { sequence, slot, first: sequence.issued, ids, startedAt: performance.now() };
    this.#push({ isChunk: false, done: sampler.readResults(), deliveries: [], guess });
  }

  /** Hands out the tokens of a step with guesses: up to the first one that was guessed wrong, and that one's correction. */
  #settleGuess({ sequence, slot, first, ids, startedAt }: Guess, results: SampledResults): void {
    sequence.isGuessing = false;
    let count = 0;
    try {
      do {
        const token = results.token(slot, first + count);
        sequence.deliver(token, first + count);
        if (token.id !== ids[count++]) break;
      } while (count <= ids.length && !sequence.isEnded);
    } catch (error) {
      sequence.fail(error);
    }
    sequence.issued += count;
    sequence.guessedCount += Math.max(0, count - 1);
    this.#speculation.noteGuess(performance.now() - startedAt, count);
    if (sequence.isEnded || sequence.lastId === undefined) return;
    // Places of wrong guesses are written again by the steps that reach them.
    const row = toRow(sequence, slot, { token: sequence.lastId, ahead: 0 });
    const waiting = this.#model.buffers.get(TEXT_BUFFERS.slotRows);
    this.#model.device.write(waiting, slot * ROW_BYTES, encodeRows([row]));
  }

  /** Puts the mask of a sequence's next token where the sampler reads it. What the constraint throws ends the sequence. */
  async #writeMask(sequence: ActiveSequence): Promise<void> {
    const { constraint } = sequence.request;
    if (!constraint) return;
    try {
      const mask = await constraint.nextMask();
      // Its slot may be another's by now.
      if (!sequence.isEnded) this.#model.sampler.writeMask((sequence.slot as KvSlot).index, mask);
    } catch (error) {
      sequence.fail(error);
    }
  }

  /**
   * Lets a sequence's constraint change the logits of its column, on the host. What it throws ends the sequence.
   *
   * @returns the logits as they were; undefined where nothing was changed
   */
  async #processLogits(
    sequence: ActiveSequence,
    column: number,
  ): Promise<Float32Array<ArrayBuffer> | undefined> {
    const { constraint } = sequence.request;
    if (!constraint?.processLogits || sequence.isEnded) return undefined;
    const { device, text, config } = this.#model;
    const { V } = config.text;
    try {
      const logits = new Float32Array(await device.read(text.logits, column * V * 4, V * 4));
      const raw = logits.slice();
      const changed = await constraint.processLogits(logits);
      if (changed.length !== V) throw wrongLength(changed.length, V);
      device.write(text.logits, column * V * 4, Float32Array.from(changed));
      return raw;
    } catch (error) {
      sequence.fail(error);
      return undefined;
    }
  }

  #push(unit: Unit): void {
    // They are awaited later, in order; a fault until then must not count as unhandled.
    unit.done.catch(() => {});
    for (const { sequence, top } of unit.deliveries) {
      sequence.inFlight++;
      top?.catch(() => {});
    }
    if (unit.guess) unit.guess.sequence.inFlight++;
    this.#inFlight.push(unit);
  }

  /** Times steps that follow each other, while one sequence runs. */
  #noteStep(isPlain: boolean): void {
    const now = performance.now();
    if (isPlain && this.#lastStepAt !== undefined) this.#speculation.noteStep(now - this.#lastStepAt);
    this.#lastStepAt = isPlain ? now : undefined;
  }

  /** Waits for a unit and hands its tokens out. */
  async #settle({ isChunk, done, deliveries, guess }: Unit): Promise<void> {
    const results = await done;
    if (guess && results) {
      guess.sequence.inFlight--;
      this.#settleGuess(guess, results);
    }
    if (isChunk) this.#depth.interrupt();
    else this.#depth.note(performance.now());
    this.#noteStep(!isChunk && deliveries.length === 1);
    for (const { sequence, slot, index, top } of deliveries) {
      sequence.inFlight--;
      if (isChunk) sequence.times.prefilledAt = performance.now();
      if (sequence.isEnded) continue;
      if (index === undefined || !results) {
        if (sequence.limit === 0 && sequence.prefilled === sequence.request.tokenIds.length) sequence.end();
        continue;
      }
      try {
        const token = results.token(slot, index);
        const ranked = (await top)?.slice(0, sequence.request.topCount);
        sequence.deliver(ranked ? { ...token, top: ranked } : token, index);
      } catch (error) {
        sequence.fail(error);
      }
    }
  }
}

function wrongLength(length: number, V: number): AutoglmError {
  return new AutoglmError('request-invalid', `The logit processor gave ${length} logits.`, {
    value: length,
    limit: V,
    cure: 'Return the logits that it was given, changed.',
  });
}

/** The row from which a sequence's next step starts, or one so many tokens ahead of it. */
function toRow(
  { request, issued }: ActiveSequence,
  slot: number,
  { token, ahead }: { readonly token: number; readonly ahead: number },
): Row {
  const cacheIndex = request.tokenIds.length - 1 + issued + ahead;
  const place = cacheIndex + request.ropeDelta;
  return { position: [place, place, place], token, cacheIndex, slot, generated: issued + ahead };
}

/** All, or the ones whose last turn is longest ago. */
function chooseColumns(running: readonly ActiveSequence[], count: number): readonly ActiveSequence[] {
  if (count >= running.length) return running;
  return running.toSorted((a, b) => a.lastTurn - b.lastTurn).slice(0, count);
}
