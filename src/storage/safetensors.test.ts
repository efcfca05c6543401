import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import { openSafetensors, readHeaderLength } from './safetensors.ts';

function fileOf(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

describe('openSafetensors', () => {
  const data = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const good = {
    __metadata__: { format: 'pt' },
    b: { dtype: 'F32', shape: [2], data_offsets: [8, 16] },
    a: { dtype: 'F32', shape: [1, 2], data_offsets: [0, 8] },
  };

  it('lists tensors in the order of their bytes and reads them', () => {
    const file = openSafetensors(fileOf(good, data));
    expect([...file.entries.keys()]).toEqual(['a', 'b']);
    expect(file.get('a').shape).toEqual([1, 2]);
    expect([...file.float32('b')]).toEqual([3, 4]);
  });

  it('refuses a tensor that is absent or of another dtype', () => {
    const file = openSafetensors(fileOf(good, data));
    expect(() => file.float32('c')).toThrow(expect.objectContaining({ code: 'tensor-missing' }));
    expect(() => file.uint32('a')).toThrow(expect.objectContaining({ code: 'tensor-dtype' }));
  });

  const entry = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  it.each([
    ['an empty file', new Uint8Array(3)],
    ['a length beyond the format’s limit', new TextEncoder().encode('<!DOCTYPE html><html></html>')],
    ['a header that is not JSON', fileOf('{"a":')],
    ['a header that is a list', fileOf('[1]')],
    ['an unknown dtype', fileOf({ a: { ...entry, dtype: 'F8_E4M3' } }, data)],
    ['a dtype named like an inherited property', fileOf({ a: { ...entry, dtype: 'constructor' } }, data)],
    ['a range that contradicts the shape', fileOf({ a: { ...entry, shape: [3] } }, data)],
    ['a negative shape', fileOf({ a: { ...entry, shape: [-2] } }, data)],
    ['a missing range', fileOf({ a: { dtype: 'F32', shape: [2] } }, data)],
    ['overlapping tensors', fileOf({ a: entry, b: { ...entry, data_offsets: [4, 12] } }, data)],
    ['a truncated file', fileOf(good, data.subarray(0, 15))],
    ['a truncated header', fileOf(good).subarray(0, 40)],
  ])('refuses %s', (_, file) => {
    let thrown: unknown;
    try {
      openSafetensors(file, 'model.safetensors');
    } catch (error) {
      thrown = error;
    }
    expect(isAutoglmError(thrown, 'checkpoint-invalid')).toBe(true);
    expect(String(thrown)).toContain('model.safetensors');
  });

  it('reads the length field of a view that does not start its buffer', () => {
    const file = fileOf(good, data);
    const shifted = new Uint8Array(file.length + 3);
    shifted.set(file, 3);
    expect(readHeaderLength(shifted.subarray(3, 11))).toBe(readHeaderLength(file.subarray(0, 8)));
  });
});
