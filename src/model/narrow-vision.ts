import { assert } from '../base/assert.ts';
import { widenFloat16 } from '../base/float16.ts';
import { product } from '../base/maths.ts';
import type { ModelConfig } from './config.ts';
import type { StreamTensors, WriteTensor } from './language-model.ts';
import { GROUP_SIZE, storedArrays, VALUES_PER_WORD } from './quantization.ts';
import { quantizeGroups } from './quantize-groups.ts';
import { expectedTensors } from './tensor-names.ts';
import type { StoredTensor } from './weight-layout.ts';

/** A vision linear that is stored whole and becomes 4 bits on the way to the device. */
interface NarrowedTensor {
  readonly stored: StoredTensor;
  readonly words: StoredTensor;
  readonly scales: StoredTensor;
}

/** The tensors of a model whose vision tower is to be at 4 bits, and those that must be made so while they load. */
export interface NarrowedVision {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** By the name under which they are stored. */
  readonly narrowed: ReadonlyMap<string, NarrowedTensor>;
}

/** Plans to load the vision tower's linears at 4 bits; those that already are, and odd widths, stay as they are. */
export function narrowVision(
  config: ModelConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
): NarrowedVision {
  const result = new Map(tensors);
  const narrowed = new Map<string, NarrowedTensor>();
  for (const tensor of expectedTensors(config)) {
    const stored = tensors.get(tensor.name);
    if (tensor.role !== 'vision-linear' || stored === undefined || tensor.shape.at(-1)! % GROUP_SIZE !== 0)
      continue;
    const [words, scales] = storedArrays(tensor, 'q4');
    assert(words && scales, `"${tensor.name}" has two arrays at 4 bits`);
    result.delete(tensor.name);
    result.set(words.name, words).set(scales.name, scales);
    narrowed.set(tensor.name, { stored, words, scales });
  }
  return { tensors: result, narrowed };
}

/**
 * Wraps a stream of tensors: the stored bytes of narrowed tensors come in, their packed bytes go out, piece by
 * piece, at most one group of 32 values behind.
 */
export function narrowStream(
  streamTensors: StreamTensors,
  { narrowed }: Pick<NarrowedVision, 'narrowed'>,
): StreamTensors {
  if (narrowed.size === 0) return streamTensors;
  return (write) => {
    const packers = new Map<string, TensorPacker>();
    return streamTensors(async (name, byteOffset, bytes) => {
      const tensor = narrowed.get(name);
      if (tensor === undefined) return write(name, byteOffset, bytes);
      let packer = packers.get(name);
      if (!packer) packers.set(name, (packer = new TensorPacker(tensor, write)));
      await packer.push(byteOffset, bytes);
      if (packer.isDone) packers.delete(name);
    });
  };
}

/** Packs one tensor's values as they arrive. */
class TensorPacker {
  readonly #tensor: NarrowedTensor;
  readonly #write: WriteTensor;
  readonly #bytesAValue: number;
  readonly #byteLength: number;
  /** Where the next byte is expected; an earlier one starts anew, as a damaged shard does that is fetched again. */
  #position = 0;
  /** Bytes of a group that is not whole yet. */
  #carry = new Uint8Array(0);

  constructor(tensor: NarrowedTensor, write: WriteTensor) {
    this.#tensor = tensor;
    this.#write = write;
    this.#bytesAValue = tensor.stored.dtype === 'float16' ? 2 : 4;
    this.#byteLength = product(tensor.stored.shape) * this.#bytesAValue;
  }

  get isDone(): boolean {
    return this.#position === this.#byteLength;
  }

  async push(byteOffset: number, bytes: Uint8Array): Promise<void> {
    if (byteOffset === 0) this.#carry = new Uint8Array(0);
    else assert(byteOffset === this.#position, `"${this.#tensor.stored.name}" arrives in order`);
    // Two arrays of groups must each begin at a whole word: pieces hold an even number of groups.
    const unit = 2 * GROUP_SIZE * this.#bytesAValue;
    const whole = new Uint8Array(this.#carry.byteLength + bytes.byteLength);
    whole.set(this.#carry);
    whole.set(bytes, this.#carry.byteLength);
    const first = (byteOffset - this.#carry.byteLength) / this.#bytesAValue;
    this.#position = byteOffset + bytes.byteLength;
    const ready = this.isDone ? whole.byteLength : whole.byteLength - (whole.byteLength % unit);
    this.#carry = whole.slice(ready);
    if (ready > 0) await this.#pack(first, whole.slice(0, ready));
  }

  async #pack(first: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const values = toFloats(bytes, this.#bytesAValue);
    const words = new Uint32Array(values.length / VALUES_PER_WORD.q4);
    const scales = new Uint16Array(values.length / GROUP_SIZE);
    quantizeGroups(values, words, scales, 'q4', 'absmax');
    const { words: wordTensor, scales: scaleTensor } = this.#tensor;
    await this.#write(wordTensor.name, first / 2, new Uint8Array(words.buffer));
    await this.#write(scaleTensor.name, (first / GROUP_SIZE) * 2, new Uint8Array(scales.buffer));
  }
}

function toFloats(bytes: Uint8Array<ArrayBuffer>, bytesAValue: number): Float32Array {
  if (bytesAValue === 4) return new Float32Array(bytes.buffer);
  const values = new Float32Array(bytes.byteLength / 2);
  widenFloat16(new Uint16Array(bytes.buffer), values);
  return values;
}
