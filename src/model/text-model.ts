import { AutoglmError } from '../base/errors.ts';
import type { Device, DeviceBuffer, Recorder } from '../gpu/device.ts';
import type { BufferTable } from './buffer-table.ts';
import { compileCudaPacking } from './compile-cuda-text.ts';
import { ChunkPace } from './chunk-pace.ts';
import { reachesFar, type CompileOptions, type DecodeReach } from './compile-options.ts';
import {
  compileDecode,
  compileDecodes,
  compileHead,
  compilePrefill,
  compilePromptEnd,
  lastRope,
} from './compile-text.ts';
import { MAX_COLUMNS, slotBuffers, TEXT_BUFFERS } from './text-buffers.ts';
import type { ModelConfig } from './config.ts';
import type { Plan } from './plan.ts';
import { PlanRunner } from './plan-runner.ts';
import { createRopeTable } from './rope-table.ts';
import { encodeRows, encodeStep, IMAGE_FLAG, ROW_BYTES, type Row } from './step.ts';
import type { TextWeights } from './weight-layout.ts';
import type { TilingMemory } from './tiling-memory.ts';
import { withTunedTilings } from './tune-tilings.ts';
import { canReachFar, withWholeLayers } from './whole-layers.ts';

/** Consecutive image tokens of a prompt and where their features are. */
export interface ImageRun {
  /** Index in the sequence of the image's first token. */
  readonly start: number;
  readonly count: number;
  /** [count, C] f32 */
  readonly features: DeviceBuffer;
}

/** A whole sequence, of which a part may already be in the cache. */
export interface Sequence {
  readonly tokenIds: ArrayLike<number>;
  /** [T, 3] */
  readonly positions: Uint32Array;
  readonly images: readonly ImageRun[];
}

/** How to prefill a sequence. */
export interface PrefillOptions {
  readonly slot: number;
  /** Tokens of the sequence that the slot's cache already holds. */
  readonly cachedCount: number;
  readonly signal?: AbortSignal | undefined;
  /** Small chunks and no logits, as where nobody has asked for the prompt yet; default false. */
  readonly isAhead?: boolean | undefined;
  /** Called before each chunk; for progress. */
  readonly onChunk?: (done: number, total: number) => void;
  /** Called when the chunk [from, to) has left its rows in `normed`, before the next begins. */
  readonly afterChunk?: (from: number, to: number) => Promise<void>;
}

/** Tokens [from, to) of a sequence that are computed at once. */
export interface Chunk {
  readonly from: number;
  readonly to: number;
  readonly slot: number;
  /** Leaves the last norm of all rows in `normed`; without it, only what the cache and the next token need is computed. */
  readonly keepsRows?: boolean | undefined;
  /** Whether the logits after the sequence's last token are of use; default true. */
  readonly needsLogits?: boolean | undefined;
}

/** The text decoder with its KV cache: prefill of prompts and decode steps. */
export class TextModel {
  readonly config: ModelConfig;
  readonly options: CompileOptions;
  /** How a prompt is cut into chunks. */
  readonly pace: ChunkPace;
  readonly #device: Device;
  readonly #buffers: BufferTable;
  readonly #weights: TextWeights;
  readonly #prefill: PlanRunner;
  /** The last layer for a prompt's last row alone; absent: it is computed for all rows. */
  readonly #promptEnd: PlanRunner | undefined;
  /** For the logits after a prompt's last token. */
  readonly #lastHead: PlanRunner;
  readonly #heads: Map<string, PlanRunner>;
  readonly #decodes = new Map<string, PlanRunner>();
  /** Whether the device runs the form for many keys; found out when that is first wanted. */
  #isFarPossible: Promise<boolean> | undefined;

  constructor(
    device: Device,
    buffers: BufferTable,
    parts: {
      config: ModelConfig;
      weights: TextWeights;
      options: CompileOptions;
      prefill: PlanRunner;
      promptEnd: PlanRunner | undefined;
      lastHead: PlanRunner;
    },
  ) {
    this.config = parts.config;
    this.options = parts.options;
    this.pace = new ChunkPace(parts.options.prefillChunk);
    this.#device = device;
    this.#buffers = buffers;
    this.#weights = parts.weights;
    this.#prefill = parts.prefill;
    this.#promptEnd = parts.promptEnd;
    this.#lastHead = parts.lastHead;
    this.#heads = new Map([['1', parts.lastHead]]);
  }

  /** Compiles the Plans, allocates cache and scratch, and uploads the rope table. */
  static async create(
    device: Device,
    buffers: BufferTable,
    parts: {
      config: ModelConfig;
      weights: TextWeights;
      options: CompileOptions;
      tilings?: TilingMemory | undefined;
    },
  ): Promise<TextModel> {
    const { config, weights, tilings } = parts;
    const counted = await withWholeLayers(device, buffers, parts);
    const options = await withTunedTilings(device, buffers, { config, weights, options: counted }, tilings);
    const { rotaryDimensions, ropeTheta } = config.text;
    const plan = compilePrefill(config, weights, options);
    const end = options.target === 'webgpu' ? compilePromptEnd(config, plan) : undefined;
    // The largest of each, so that no later step makes a shared buffer anew.
    await buffers.ensureScratch([
      plan,
      ...(end ? [end] : []),
      ...compileDecodes(config, weights, options),
      compileHead(config, weights, options, MAX_COLUMNS),
    ]);
    for (const [name, buffer] of slotBuffers(config.text, options)) await buffers.ensure(name, buffer);
    if (options.target === 'cuda')
      await runOnce(device, buffers, compileCudaPacking(weights, config.text, options));
    const table = createRopeTable(options.context, rotaryDimensions, ropeTheta);
    device.write(buffers.get(TEXT_BUFFERS.rope), 0, table);
    const [prefill, lastHead, promptEnd] = await Promise.all([
      PlanRunner.create(device, plan, buffers),
      PlanRunner.create(device, compileHead(config, weights, options, 1), buffers),
      end && PlanRunner.create(device, end, buffers),
    ]);
    const model = new TextModel(device, buffers, { ...parts, options, prefill, promptEnd, lastHead });
    await model.#decodeFor(1, 'near');
    return model;
  }

  /** Logits of the last head or decode step, [columns, V] f32. */
  get logits(): DeviceBuffer {
    return this.#buffers.get(TEXT_BUFFERS.logits);
  }

  /** The rows of the running sequences, [MAX_COLUMNS] `Row`. */
  get decodeRows(): DeviceBuffer {
    return this.#buffers.get(TEXT_BUFFERS.decodeRows);
  }

  /** @throws AutoglmError `prompt-too-long` for a prompt that leaves no room for an answer */
  requireFits(tokenCount: number): void {
    const { context } = this.options;
    // One place must be left for the answer's first token.
    if (tokenCount < context) return;
    throw new AutoglmError(
      'prompt-too-long',
      `The prompt has ${tokenCount} tokens and the context window holds ${context}.`,
      {
        value: tokenCount,
        limit: context,
        cure: 'Shorten the conversation, or load with a larger context window.',
      },
    );
  }

  /**
   * Computes the part of a sequence that the cache does not hold, chunk by chunk, and the logits after its
   * last token.
   *
   * @throws AutoglmError `prompt-too-long`; the signal's `AbortError` between chunks, after which the slot
   *   holds no more than `cachedCount` valid tokens
   */
  async prefill(sequence: Sequence, options: PrefillOptions): Promise<void> {
    const total = sequence.tokenIds.length;
    this.requireFits(total);
    const { slot, cachedCount, signal, isAhead = false, onChunk, afterChunk } = options;
    const keepsRows = afterChunk !== undefined;
    for (let from = cachedCount, to = from; from < total; from = to) {
      signal?.throwIfAborted();
      onChunk?.(from - cachedCount, total - cachedCount);
      to = Math.min(total, from + (isAhead ? this.pace.mostAhead() : this.pace.most()));
      const startedAt = performance.now();
      const recorder = this.#device.createRecorder(`prefill ${from}..${to}`);
      this.recordChunk(recorder, sequence, { from, to, slot, keepsRows, needsLogits: !isAhead });
      recorder.submit();
      // As in the vision tower: only an empty queue can be stopped.
      await this.#device.idle();
      this.pace.note(to - from, performance.now() - startedAt);
      await afterChunk?.(from, to);
    }
  }

  /**
   * Records the tokens [from, to) of a sequence, at most a chunk, and after its last one the logits. Its host
   * writes are for this recorder: submit it before another chunk is recorded.
   */
  recordChunk(recorder: Recorder, sequence: Sequence, chunk: Chunk): void {
    const { from, to, slot, keepsRows = false, needsLogits = true } = chunk;
    const tokens = to - from;
    const isLast = needsLogits && to === sequence.tokenIds.length;
    this.#writeChunk(recorder, sequence, chunk);
    if (keepsRows || !this.#promptEnd) {
      this.#prefill.record(recorder, { tokens });
      if (isLast) this.#recordHead(recorder, this.#lastHead, [tokens - 1]);
      return;
    }
    this.#prefill.record(recorder, { tokens }, 0, this.#prefill.endOf(lastRope(this.config)));
    if (!isLast) return;
    const { C, H, D } = this.config.text;
    this.#device.write(
      this.#buffers.get(TEXT_BUFFERS.lastStep),
      0,
      encodeStep({ rowCount: 1, slot, cacheStart: to - 1 }),
    );
    this.#keepRow(recorder, TEXT_BUFFERS.queries, TEXT_BUFFERS.lastQueries, tokens - 1, H * D);
    this.#keepRow(recorder, TEXT_BUFFERS.hidden, TEXT_BUFFERS.lastHidden, tokens - 1, C);
    this.#promptEnd.record(recorder, { tokens: 1 });
    this.#recordHead(recorder, this.#lastHead, [0]);
  }

  /** Logits of up to `MAX_COLUMNS` rows of the last chunk, which kept them; `chunkRows` count from its first token. */
  async computeLogits(chunkRows: readonly number[]): Promise<void> {
    const head = await this.#headFor(chunkRows.length);
    const recorder = this.#device.createRecorder('head');
    this.#recordHead(recorder, head, chunkRows);
    recorder.submit();
  }

  /** Sets the row from which a column's next decode step starts. */
  writeDecodeRow(column: number, row: Row): void {
    this.#device.write(this.decodeRows, column * ROW_BYTES, encodeRows([row]));
  }

  /** Keys from which a step of so many sequences is faster that reaches far; undefined where none is. */
  farKeys(columns: number): number | undefined {
    return reachesFar(this.options, columns) ? this.options.farKeys : undefined;
  }

  /** The form of a step of so many sequences that is the faster one at so many keys. */
  reachFor(columns: number, keyCount: number): DecodeReach {
    return keyCount >= (this.farKeys(columns) ?? Infinity) ? 'far' : 'near';
  }

  /**
   * Records one decode step of the first `columns` rows of `decodeRows`, up to their logits. Either reach takes any number
   * of keys; `far` is for columns whose `farKeys` are defined, and `near` where the device cannot run it.
   */
  async prepareDecode(columns: number, reach: DecodeReach = 'near'): Promise<(recorder: Recorder) => void> {
    const runner = await this.#decodeFor(columns, reach);
    return (recorder) => runner.record(recorder, { tokens: columns });
  }

  /** The Plan of a decode step, for what it costs. */
  decodePlan(columns: number, reach: DecodeReach = 'near'): Plan {
    return compileDecode(this.config, this.#weights, this.options, columns, reach);
  }

  /** Runs the prefill of one chunk up to each label in turn and reads `hidden`; for parity tests. */
  async trace(sequence: Sequence, labels: readonly string[]): Promise<Float32Array[]> {
    const count = sequence.tokenIds.length;
    const results: Float32Array[] = [];
    let from = 0;
    for (const label of labels) {
      const recorder = this.#device.createRecorder(label);
      if (from === 0) this.#writeChunk(recorder, sequence, { from: 0, to: count, slot: 0 });
      const to = this.#prefill.endOf(label);
      this.#prefill.record(recorder, { tokens: count }, from, to);
      recorder.submit();
      results.push(await this.readRows(TEXT_BUFFERS.hidden, count));
      from = to;
    }
    return results;
  }

  /** Reads [count, C] f32 of a row buffer. */
  async readRows(buffer: string, count: number): Promise<Float32Array> {
    const byteLength = count * this.config.text.C * 4;
    return new Float32Array(await this.#device.read(this.#buffers.get(buffer), 0, byteLength));
  }

  #writeChunk(
    recorder: Recorder,
    { tokenIds, positions, images }: Sequence,
    { from, to, slot }: { from: number; to: number; slot: number },
  ): void {
    const rows = Array.from({ length: to - from }, (_, offset): Row => {
      const index = from + offset;
      const position: [number, number, number] = [
        positions[index * 3],
        positions[index * 3 + 1],
        positions[index * 3 + 2],
      ];
      return { position, token: tokenIds[index], cacheIndex: index, slot, generated: 0 };
    });
    const rowBytes = this.config.text.C * 4;
    for (const { start, count, features } of images) {
      const first = Math.max(start, from);
      const last = Math.min(start + count, to);
      if (first >= last) continue;
      const target = this.#buffers.get(TEXT_BUFFERS.features);
      recorder.copy(
        features,
        (first - start) * rowBytes,
        target,
        (first - from) * rowBytes,
        (last - first) * rowBytes,
      );
      // The features of a chunk lie at the rows of their tokens.
      for (let index = first; index < last; index++) {
        rows[index - from] = { ...rows[index - from], token: IMAGE_FLAG + index - from };
      }
    }
    this.#device.write(this.#buffers.get(TEXT_BUFFERS.promptRows), 0, encodeRows(rows));
    const step = encodeStep({ rowCount: to - from, slot, cacheStart: from });
    this.#device.write(this.#buffers.get(TEXT_BUFFERS.step), 0, step);
  }

  /** Copies one row of `length` f32. */
  #keepRow(recorder: Recorder, source: string, target: string, row: number, length: number): void {
    const [from, to] = [source, target].map((name) => this.#buffers.get(name));
    recorder.copy(from, row * length * 4, to, 0, length * 4);
  }

  #recordHead(recorder: Recorder, head: PlanRunner, chunkRows: readonly number[]): void {
    const rowBytes = this.config.text.C * 4;
    const normed = this.#buffers.get(TEXT_BUFFERS.normed);
    const input = this.#buffers.get(TEXT_BUFFERS.headInput);
    chunkRows.forEach((row, index) =>
      recorder.copy(normed, row * rowBytes, input, index * rowBytes, rowBytes),
    );
    head.record(recorder, { tokens: chunkRows.length });
  }

  async #headFor(columns: number): Promise<PlanRunner> {
    return this.#runnerFor(this.#heads, `${columns}`, () =>
      compileHead(this.config, this.#weights, this.options, columns),
    );
  }

  async #decodeFor(columns: number, reach: DecodeReach): Promise<PlanRunner> {
    const isFar = reach === 'far' && (columns > 1 || (await this.#canReachFar()));
    const ran = isFar ? 'far' : 'near';
    return this.#runnerFor(this.#decodes, `${columns} ${ran}`, () => this.decodePlan(columns, ran));
  }

  #canReachFar(): Promise<boolean> {
    const parts = { config: this.config, weights: this.#weights, options: this.options };
    return (this.#isFarPossible ??= canReachFar(this.#device, this.#buffers, parts));
  }

  async #runnerFor(cache: Map<string, PlanRunner>, key: string, compile: () => Plan): Promise<PlanRunner> {
    const known = cache.get(key);
    if (known) return known;
    const plan = compile();
    await this.#buffers.ensureScratch([plan]);
    const runner = await PlanRunner.create(this.#device, plan, this.#buffers);
    cache.set(key, runner);
    return runner;
  }
}

/** Runs a Plan that a load needs once. */
async function runOnce(device: Device, buffers: BufferTable, plan: Plan): Promise<void> {
  if (plan.calls.length === 0) return;
  const runner = await PlanRunner.create(device, plan, buffers);
  const recorder = device.createRecorder(plan.name);
  runner.record(recorder, {});
  recorder.submit();
}
