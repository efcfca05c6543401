import { AutoglmError } from '../base/errors.ts';
import type { Device, DeviceBuffer } from '../gpu/device.ts';
import type { BufferTable } from './buffer-table.ts';
import type { CompileOptions } from './compile-options.ts';
import { rowsWithin } from '../kernels/kernel.ts';
import { compilePatchFold, compileVision, VISION_ROPE_THETA, visionCapacity } from './compile-vision.ts';
import type { ModelConfig } from './config.ts';
import { PlanRunner } from './plan-runner.ts';
import { createRopeTable } from './rope-table.ts';
import { encodeStep, type Step } from './step.ts';
import { cutRows, MAX_GRID_SIDE, paddedPatchLength, pieceStep, VISION_BUFFERS } from './vision-buffers.ts';
import type { VisionWeights } from './weight-layout.ts';

/** Patches of one image, as `src/image` prepares them. */
export interface ImagePatches {
  /** [gridRows * gridColumns, inChannels * patchSize^2] in blocks of spatialMergeSize^2 patches */
  readonly patches: Float32Array;
  readonly gridRows: number;
  readonly gridColumns: number;
}

/** Runs the vision tower: patches of an image to rows that replace its image tokens. */
export class VisionTower {
  readonly #device: Device;
  readonly #buffers: BufferTable;
  readonly #config: ModelConfig;
  readonly #weights: VisionWeights;
  readonly #options: CompileOptions;
  #runner: PlanRunner | undefined;
  #capacity = 0;

  constructor(
    device: Device,
    buffers: BufferTable,
    { config, weights, options }: { config: ModelConfig; weights: VisionWeights; options: CompileOptions },
  ) {
    this.#device = device;
    this.#buffers = buffers;
    this.#config = config;
    this.#weights = weights;
    this.#options = options;
  }

  /**
   * Folds the patch embedding, uploads the rope table and compiles the tower's programs, which do not depend on
   * the image's size; once, after the weights are written.
   */
  async prepare(): Promise<void> {
    const { calls } = compileVision(this.#config, this.#weights, this.#options, visionCapacity(1));
    const programs = Promise.all(calls.map(({ program }) => this.#device.createProgram(program)));
    const { D } = this.#config.vision;
    const fold = compilePatchFold(this.#config, this.#weights);
    await this.#buffers.ensureScratch([fold]);
    const runner = await PlanRunner.create(this.#device, fold, this.#buffers);
    const recorder = this.#device.createRecorder(fold.name);
    runner.record(recorder, {});
    recorder.submit();
    const table = createRopeTable(MAX_GRID_SIDE, D / 2, VISION_ROPE_THETA);
    this.#device.write(this.#buffers.get(VISION_BUFFERS.rope), 0, table);
    await programs;
  }

  /** Merged patches of an image: its number of image tokens. */
  tokenCount({ gridRows, gridColumns }: ImagePatches): number {
    return (gridRows * gridColumns) / this.#config.vision.spatialMergeSize ** 2;
  }

  /**
   * Encodes one image. The caller owns the result, [tokenCount, outC] f32: its last values may still be on their way on
   * the device, before whatever is submitted next.
   *
   * @throws AutoglmError `image-size`, `out-of-memory`, `device-lost`; the signal's `AbortError` between blocks
   */
  async encode(
    image: ImagePatches,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<DeviceBuffer> {
    signal?.throwIfAborted();
    const runner = await this.#upload(image);
    const byteLength = this.tokenCount(image) * this.#config.vision.outC * 4;
    const features = await this.#device.createBuffer({
      label: 'image features',
      byteLength,
      usage: 'storage',
    });
    try {
      await this.#run(runner, image, features, signal);
    } catch (error) {
      features.destroy();
      throw error;
    }
    return features;
  }

  async #run(
    runner: PlanRunner,
    image: ImagePatches,
    features: DeviceBuffer,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const end = runner.plan.calls.length;
    const boundaries = this.#weights.blocks.map((_, block) => runner.endOf(`vision.block.${block}`));
    const counts = { patches: image.gridRows * image.gridColumns, mergedPatches: this.tokenCount(image) };
    let from = 0;
    let previous: Promise<void> | undefined;
    for (const to of [...boundaries, end]) {
      signal?.throwIfAborted();
      const recorder = this.#device.createRecorder(runner.plan.name);
      runner.record(recorder, counts, from, to);
      if (to === end) {
        recorder.copy(this.#buffers.get(VISION_BUFFERS.features), 0, features, 0, features.byteLength);
      }
      recorder.submit();
      // Waiting here is what makes the tower abortable; a queue already filled could not be stopped. One block more
      // than the one that runs is in the queue, so that the device does not wait for the host, nor after the last one
      // for whoever prepares the prompt.
      await previous;
      previous = this.#device.idle();
      // A loss is thrown by the next await; an abort before it leaves nobody to hear of it.
      previous.catch(() => undefined);
      from = to;
    }
  }

  /**
   * Runs the tower up to the call of that label and reads a buffer; for parity tests.
   *
   * @param labels calls after which to read, in order, each with the buffer to read
   */
  async trace(
    image: ImagePatches,
    labels: readonly { readonly label: string; readonly buffer: string; readonly length: number }[],
  ): Promise<Float32Array[]> {
    const runner = await this.#upload(image);
    const counts = { patches: image.gridRows * image.gridColumns, mergedPatches: this.tokenCount(image) };
    const results: Float32Array[] = [];
    let from = 0;
    for (const { label, buffer, length } of labels) {
      const to = runner.endOf(label);
      const recorder = this.#device.createRecorder(label);
      runner.record(recorder, counts, from, to);
      recorder.submit();
      results.push(new Float32Array(await this.#device.read(this.#buffers.get(buffer), 0, length * 4)));
      from = to;
    }
    return results;
  }

  async #upload({ patches, gridRows, gridColumns }: ImagePatches): Promise<PlanRunner> {
    const longest = Math.max(gridRows, gridColumns);
    if (longest > MAX_GRID_SIDE) {
      throw new AutoglmError('image-size', `An image of ${gridRows} x ${gridColumns} patches is too long.`, {
        value: longest,
        limit: MAX_GRID_SIDE,
        cure: 'Crop the image.',
      });
    }
    const count = gridRows * gridColumns;
    const runner = await this.#runnerFor(count);
    const { vision } = this.#config;
    const length = vision.inChannels * vision.patchSize ** 2;
    this.#writePadded(patches, { count, length, paddedLength: paddedPatchLength(vision) });
    const grid = { gridRows, gridColumns };
    const merge = vision.spatialMergeSize ** 2;
    this.#writeSteps(VISION_BUFFERS.step, { rowCount: count, ...grid }, [this.#capacity, vision.F]);
    const merged = { rowCount: count / merge, ...grid };
    this.#writeSteps(VISION_BUFFERS.mergedStep, merged, [this.#capacity / merge, vision.mergerF]);
    return runner;
  }

  /** The step of all rows and, on WebGPU, those of the pieces that the MLP takes them in. */
  #writeSteps(name: string, step: Step, [capacity, F]: readonly [capacity: number, F: number]): void {
    this.#device.write(this.#buffers.get(name), 0, encodeStep(step));
    if (this.#options.target === 'cuda') return;
    for (const [index, piece] of cutRows(capacity, F, this.#options.imagePieceWords).entries()) {
      const rowCount = rowsWithin(piece, step.rowCount);
      this.#device.write(this.#buffers.get(pieceStep(name, index)), 0, encodeStep({ ...step, rowCount }));
    }
  }

  #writePadded(
    patches: Float32Array,
    { count, length, paddedLength }: { count: number; length: number; paddedLength: number },
  ): void {
    const target = this.#buffers.get(VISION_BUFFERS.patches);
    const rowsAPiece = Math.max(1, Math.floor(2 ** 20 / (paddedLength * 4)));
    for (let first = 0; first < count; first += rowsAPiece) {
      const rows = Math.min(rowsAPiece, count - first);
      const piece = new Float32Array(rows * paddedLength);
      for (let row = 0; row < rows; row++) {
        const start = (first + row) * length;
        piece.set(patches.subarray(start, start + length), row * paddedLength);
      }
      this.#device.write(target, first * paddedLength * 4, piece);
    }
  }

  async #runnerFor(patchCount: number): Promise<PlanRunner> {
    if (this.#runner && patchCount <= this.#capacity) return this.#runner;
    this.#runner = undefined;
    this.#capacity = visionCapacity(patchCount);
    const plan = compileVision(this.#config, this.#weights, this.#options, this.#capacity);
    await this.#buffers.ensureScratch([plan]);
    this.#runner = await PlanRunner.create(this.#device, plan, this.#buffers);
    return this.#runner;
  }
}
