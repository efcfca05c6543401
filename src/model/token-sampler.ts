import type { Device, Recorder } from '../gpu/device.ts';
import { FAULT_TOKEN } from '../kernels/sampler-prelude.ts';
import { AutoglmError } from '../base/errors.ts';
import type { BufferTable } from './buffer-table.ts';
import type { CompileOptions } from './compile-options.ts';
import { compileSampler, type SampledRows } from './compile-sampler.ts';
import { RESULT_RING } from './result-ring.ts';
import type { RankedToken } from './ranked-token.ts';
import { PlanRunner } from './plan-runner.ts';
import { TEXT_BUFFERS } from './text-buffers.ts';
import type { TokenMask } from './token-constraint.ts';

/** A token that the device chose. */
export interface SampledToken {
  readonly id: number;
  /** Natural log of its raw probability; meaningful where the settings ask for it. */
  readonly logprob: number;
  /** Its most likely rivals and itself, best first; only when asked for. */
  readonly top?: readonly RankedToken[];
}

/** What starts an answer in a slot; `src/sampling` encodes it. */
export interface SamplerState {
  /** `SamplerSettings` of the shader */
  readonly settings: Uint32Array<ArrayBuffer>;
  /** [V] added to the logits; absent: none */
  readonly bias?: Float32Array<ArrayBuffer> | undefined;
  /** [V] counts with which the answer starts; absent: zero */
  readonly counts?: Uint32Array<ArrayBuffer> | undefined;
}

const RESULTS = 'sampler.results';

/** Chooses tokens on the device; only ids and asked-for log-probabilities come back. */
export class TokenSampler {
  readonly #device: Device;
  readonly #buffers: BufferTable;
  readonly #V: number;
  readonly #options: CompileOptions;
  readonly #runners = new Map<string, PlanRunner>();

  constructor(device: Device, buffers: BufferTable, { V, options }: { V: number; options: CompileOptions }) {
    this.#device = device;
    this.#buffers = buffers;
    this.#V = V;
    this.#options = options;
  }

  /** Compiles and allocates for one sequence, so that the first answer need not wait. */
  async prepare(): Promise<void> {
    await Promise.all([this.prepareSample(1), this.prepareFirst()]);
  }

  /** Gives a slot its settings and forgets the tokens of its last answer. */
  start(slot: number, { settings, bias, counts }: SamplerState): void {
    const buffers = this.#buffers;
    this.#device.write(buffers.get('sampler.settings'), slot * settings.byteLength, settings);
    const rowBytes = this.#V * 4;
    if (counts) {
      this.#device.write(buffers.get('sampler.counts'), slot * rowBytes, counts);
    } else {
      const recorder = this.#device.createRecorder('clear token counts');
      recorder.clear(buffers.get('sampler.counts'), slot * rowBytes, rowBytes);
      recorder.submit();
    }
    if (!bias) return;
    this.#device.write(buffers.get('sampler.bias'), slot * rowBytes, bias);
  }

  /** Lets a slot's next token be only one of the mask's; the slot's settings must say that it has a mask. */
  writeMask(slot: number, mask: TokenMask | undefined): void {
    const words = new Uint32Array(Math.ceil(this.#V / 32));
    if (mask) words.set(mask.subarray(0, words.length));
    else words.fill(0xffffffff);
    this.#device.write(this.#buffers.get('sampler.mask'), slot * words.byteLength, words);
  }

  /** Records the choice of one token for each of the first `columns` rows of a decode step. */
  async prepareSample(columns: number): Promise<(recorder: Recorder) => void> {
    return this.#prepare(`step x${columns}`, columns, TEXT_BUFFERS.decodeRows);
  }

  /** Records the choice of the token after a prefill, for the sequence of `firstRow`. */
  async prepareFirst(): Promise<(recorder: Recorder) => void> {
    return this.#prepare('first', 1, TEXT_BUFFERS.firstRow);
  }

  /**
   * Reads the token that a slot's answer got as its `index`-th.
   *
   * @throws AutoglmError `internal` when a logit was NaN or infinite, or every token was banned
   */
  async read(slot: number, index: number): Promise<SampledToken> {
    return (await this.readResults()).token(slot, index);
  }

  /** Reads the latest tokens of all slots, as they are after the work that was submitted so far. */
  async readResults(): Promise<SampledResults> {
    return new SampledResults(await this.#device.read(this.#buffers.get(RESULTS), 0, this.#resultBytes));
  }

  /** Submits a step and reads the latest tokens of all slots as they are after it. */
  async submitAndRead(recorder: Recorder): Promise<SampledResults> {
    const buffer = this.#buffers.get(RESULTS);
    return new SampledResults(await this.#device.submitAndRead(recorder, buffer, 0, this.#resultBytes));
  }

  get #resultBytes(): number {
    return this.#options.slots * RESULT_RING * 8;
  }

  async #prepare(name: string, columns: number, rows: SampledRows): Promise<(recorder: Recorder) => void> {
    let runner = this.#runners.get(name);
    if (!runner) {
      const plan = compileSampler({ V: this.#V }, this.#options, columns, rows);
      await this.#buffers.ensureScratch([plan]);
      runner = await PlanRunner.create(this.#device, plan, this.#buffers);
      this.#runners.set(name, runner);
    }
    const ready = runner;
    return (recorder) => ready.record(recorder, { tokens: columns });
  }
}

/** The last `RESULT_RING` tokens of each slot, as they were at one moment. */
export class SampledResults {
  readonly #ids: Uint32Array;
  readonly #logprobs: Float32Array;

  constructor(bytes: ArrayBuffer) {
    this.#ids = new Uint32Array(bytes);
    this.#logprobs = new Float32Array(bytes);
  }

  /**
   * The token that a slot's answer got as its `index`-th.
   *
   * @throws AutoglmError `internal` when a logit was NaN or infinite, or every token was banned
   */
  token(slot: number, index: number): SampledToken {
    const place = (slot * RESULT_RING + (index % RESULT_RING)) * 2;
    const id = this.#ids[place];
    if (id === FAULT_TOKEN) {
      throw new AutoglmError(
        'internal',
        `The model computed no usable probability for token ${index} of the answer.`,
        {
          value: 'NaN or infinite logits, or every token banned',
          cure: 'Load the model again; if it repeats, the weights or the graphics driver are at fault.',
        },
      );
    }
    return { id, logprob: this.#logprobs[place + 1] };
  }
}
