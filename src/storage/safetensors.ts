import { AutoglmError } from '../base/errors.ts';
import { product } from '../base/maths.ts';

/** Element types of a safetensors file and their bytes. Others exist; a file that holds them is refused. */
export const SAFETENSORS_DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

/** Element type as the file spells it. */
export type SafetensorsDtype = keyof typeof SAFETENSORS_DTYPE_BYTES;

/** One tensor of a safetensors file. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  /** Row-major shape. */
  readonly shape: readonly number[];
  /** Offset in bytes from the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** The length field that a file starts with. */
export const SAFETENSORS_PREFIX_BYTES = 8;

/** The format's own limit; it also keeps a file of another kind from being read as a huge header. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Bytes of the JSON header that follows the prefix.
 *
 * @param prefix the first 8 bytes of the file
 * @throws AutoglmError `checkpoint-invalid` when it is too short or the length is not plausible.
 */
export function readHeaderLength(prefix: Uint8Array, fileName = 'safetensors file'): number {
  if (prefix.byteLength < SAFETENSORS_PREFIX_BYTES) {
    throw invalid(
      fileName,
      'it is shorter than its length field',
      prefix.byteLength,
      SAFETENSORS_PREFIX_BYTES,
    );
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length < 2n || length > MAX_HEADER_BYTES) {
    throw invalid(fileName, `its header claims ${length} bytes`, Number(length), MAX_HEADER_BYTES);
  }
  return Number(length);
}

/**
 * Reads the JSON header of a safetensors file.
 *
 * @param header the header's bytes, without the 8-byte prefix
 * @param fileByteLength the size of the whole file, against which the tensors are checked
 * @returns the tensors by name, in the order of their bytes
 * @throws AutoglmError `checkpoint-invalid` for a malformed header, an unknown dtype, a byte range that
 *   contradicts the shape, overlaps another or reaches beyond the end of the file (a truncated download).
 */
export function parseSafetensorsHeader(
  header: Uint8Array,
  fileByteLength: number,
  fileName = 'safetensors file',
): ReadonlyMap<string, SafetensorsEntry> {
  const json = parseJson(header, fileName);
  const dataOffset = SAFETENSORS_PREFIX_BYTES + header.byteLength;
  const entries = Object.entries(json)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => parseEntry(name, value, dataOffset, fileName))
    .toSorted((a, b) => a.byteOffset - b.byteOffset);
  checkRanges(entries, dataOffset, fileByteLength, fileName);
  return new Map(entries.map((entry) => [entry.name, entry]));
}

/**
 * Opens a safetensors file that is in memory whole; for small files.
 *
 * @throws AutoglmError `checkpoint-invalid` as `parseSafetensorsHeader` does.
 */
export function openSafetensors(file: Uint8Array, fileName?: string): SafetensorsFile {
  const headerLength = readHeaderLength(file.subarray(0, SAFETENSORS_PREFIX_BYTES), fileName);
  const header = file.subarray(SAFETENSORS_PREFIX_BYTES, SAFETENSORS_PREFIX_BYTES + headerLength);
  return new SafetensorsFile(file, parseSafetensorsHeader(header, file.byteLength, fileName));
}

/** A safetensors file in memory. */
export class SafetensorsFile {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, entries: ReadonlyMap<string, SafetensorsEntry>) {
    this.#bytes = bytes;
    this.entries = entries;
  }

  /** @throws AutoglmError `tensor-missing`. */
  get(name: string): SafetensorsEntry {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      throw new AutoglmError('tensor-missing', `Cannot find tensor "${name}" in the file.`, { value: name });
    }
    return entry;
  }

  /** A copy of a tensor's bytes, aligned for any typed array. */
  bytes(name: string): Uint8Array<ArrayBuffer> {
    const { byteOffset, byteLength } = this.get(name);
    return new Uint8Array(this.#bytes.subarray(byteOffset, byteOffset + byteLength));
  }

  /** A copy of an F32 tensor. @throws AutoglmError `tensor-dtype` for another dtype. */
  float32(name: string): Float32Array<ArrayBuffer> {
    return new Float32Array(this.#typedBytes(name, 'F32'));
  }

  /** A copy of an I32 tensor. @throws AutoglmError `tensor-dtype` for another dtype. */
  int32(name: string): Int32Array<ArrayBuffer> {
    return new Int32Array(this.#typedBytes(name, 'I32'));
  }

  /** A copy of a U32 tensor. @throws AutoglmError `tensor-dtype` for another dtype. */
  uint32(name: string): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#typedBytes(name, 'U32'));
  }

  /** A copy of the bits of an F16 tensor. @throws AutoglmError `tensor-dtype` for another dtype. */
  float16Bits(name: string): Uint16Array<ArrayBuffer> {
    return new Uint16Array(this.#typedBytes(name, 'F16'));
  }

  #typedBytes(name: string, dtype: SafetensorsDtype): ArrayBuffer {
    const entry = this.get(name);
    if (entry.dtype !== dtype) {
      throw new AutoglmError(
        'tensor-dtype',
        `Cannot read tensor "${name}" as ${dtype}: it is ${entry.dtype}.`,
        {
          value: entry.dtype,
          limit: dtype,
        },
      );
    }
    return this.bytes(name).buffer;
  }
}

function parseJson(header: Uint8Array, fileName: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header));
    if (typeof json === 'object' && json !== null && !Array.isArray(json))
      return json as Record<string, unknown>;
  } catch (cause) {
    throw invalid(fileName, 'its header is not JSON', undefined, undefined, cause);
  }
  throw invalid(fileName, 'its header is not a JSON object');
}

function parseEntry(name: string, value: unknown, dataOffset: number, fileName: string): SafetensorsEntry {
  const { dtype, shape, data_offsets: range } = (value ?? {}) as Record<string, unknown>;
  if (typeof dtype !== 'string' || !Object.hasOwn(SAFETENSORS_DTYPE_BYTES, dtype)) {
    throw invalid(
      fileName,
      `tensor "${name}" has dtype ${JSON.stringify(dtype)}`,
      dtype,
      Object.keys(SAFETENSORS_DTYPE_BYTES),
    );
  }
  if (!isCountList(shape) || !isCountList(range) || range.length !== 2) {
    throw invalid(fileName, `tensor "${name}" has no shape and byte range`, value);
  }
  const [start, end] = range as [number, number];
  const expected = product(shape) * SAFETENSORS_DTYPE_BYTES[dtype as SafetensorsDtype];
  if (end - start !== expected) {
    throw invalid(
      fileName,
      `tensor "${name}" of shape [${shape}] spans ${end - start} bytes`,
      end - start,
      expected,
    );
  }
  return {
    name,
    dtype: dtype as SafetensorsDtype,
    shape,
    byteOffset: dataOffset + start,
    byteLength: expected,
  };
}

function checkRanges(
  entries: readonly SafetensorsEntry[],
  dataOffset: number,
  fileByteLength: number,
  fileName: string,
): void {
  let end = dataOffset;
  for (const entry of entries) {
    if (entry.byteOffset < end) {
      throw invalid(fileName, `tensor "${entry.name}" overlaps the one before it`, entry.byteOffset, end);
    }
    end = entry.byteOffset + entry.byteLength;
  }
  if (end > fileByteLength) {
    throw invalid(
      fileName,
      `it has ${fileByteLength} bytes and its header describes ${end}; it is truncated`,
      fileByteLength,
      end,
    );
  }
}

function isCountList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

function invalid(
  fileName: string,
  reason: string,
  value?: unknown,
  limit?: unknown,
  cause?: unknown,
): AutoglmError {
  return new AutoglmError('checkpoint-invalid', `Cannot read ${fileName}: ${reason}.`, {
    value,
    limit,
    cure: 'Download the file again and compare its size and checksum.',
    cause,
  });
}
