import { afterAll, beforeAll, expect } from 'vitest';
import type { Device, DeviceBuffer, Grid } from '../gpu/device.ts';
import type { WebGpuDevice } from '../gpu/webgpu-device.ts';
import { openNodeDevice } from '../gpu/webgpu-node.ts';
import type { BufferRef, Extent, KernelCall } from './kernel.ts';

/** What a test puts into a buffer. */
export type Data = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/**
 * Opens a device for a `describe` block and destroys it afterwards; a missing adapter fails every test.
 * It grants no more than what every WebGPU device grants, because base variants must run everywhere; the tests of a
 * variant that needs more `storageBuffers` or `workgroupStorageBytes` say so.
 * Workgroup memory is not cleared, so that a kernel which relies on zeros there fails. (It also spares the
 * software adapter most of its compile time.)
 */
export function useDevice({ storageBuffers = 8, workgroupStorageBytes = 16384 } = {}): () => WebGpuDevice {
  let device: WebGpuDevice | undefined;
  beforeAll(async () => {
    device = await openNodeDevice({
      toggles: ['disable_workgroup_init', ...extraToggles()],
      limitCaps: {
        maxStorageBuffersPerShaderStage: storageBuffers,
        maxComputeWorkgroupStorageSize: workgroupStorageBytes,
        maxComputeInvocationsPerWorkgroup: 256,
      },
    });
  });
  afterAll(() => device?.destroy());
  return () => device as WebGpuDevice;
}

/** `AUTOGLM_DAWN_TOGGLES`: toggles to run the same tests with, such as `vulkan_enable_f16_on_nvidia`. */
function extraToggles(): string[] {
  return process.env['AUTOGLM_DAWN_TOGGLES']?.split(',') ?? [];
}

/** A binding to the whole buffer of that name. */
export function ref(buffer: string): BufferRef {
  return { buffer };
}

/** Runs kernel calls in order on named arrays and gives back the arrays named in `outputs`. */
export async function runKernel(
  device: Device,
  calls: KernelCall | readonly KernelCall[],
  arrays: Readonly<Record<string, Data>>,
  { rows = 1, outputs }: { rows?: number; outputs: readonly string[] },
): Promise<Record<string, ArrayBuffer>> {
  const buffers: Record<string, DeviceBuffer> = {};
  for (const [label, data] of Object.entries(arrays)) {
    const usage = label === 'step' ? 'uniform' : 'storage';
    const buffer = await device.createBuffer({ label, byteLength: Math.max(16, data.byteLength), usage });
    device.write(buffer, 0, data);
    buffers[label] = buffer;
  }
  const recorder = device.createRecorder('parity');
  for (const call of [calls].flat()) {
    const program = await device.createProgram(call.program);
    const ranges = Object.fromEntries(
      Object.entries(call.bindings).map(([name, range]) => [
        name,
        { ...range, buffer: buffers[range.buffer] as DeviceBuffer },
      ]),
    );
    recorder.dispatch(device.createBindingSet(program, ranges), resolveGrid(call.grid, rows));
  }
  recorder.submit();
  const results: Record<string, ArrayBuffer> = {};
  for (const name of outputs) results[name] = await device.read(buffers[name], 0, arrays[name].byteLength);
  for (const buffer of Object.values(buffers)) buffer.destroy();
  return results;
}

function resolveGrid(grid: KernelCall['grid'], rows: number): Grid {
  const resolve = (extent: Extent): number =>
    typeof extent === 'number' ? extent : Math.ceil(rows / extent.per);
  return [resolve(grid[0]), resolve(grid[1]), resolve(grid[2])];
}

/** Uniform words of `preludes/step.wgsl`. */
export function stepWords(step: {
  rowCount: number;
  gridRows?: number;
  gridColumns?: number;
  slot?: number;
  cacheStart?: number;
}): Uint32Array<ArrayBuffer> {
  const { rowCount, gridRows = 0, gridColumns = 0, slot = 0, cacheStart = 0 } = step;
  return Uint32Array.of(rowCount, gridRows, gridColumns, slot, cacheStart, 0, 0, 0);
}

/** Words of `Row`s of `preludes/row.wgsl`. */
export function rowWords(
  rows: readonly {
    position?: readonly [number, number, number];
    token?: number;
    cacheIndex?: number;
    slot?: number;
  }[],
): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(
    rows.flatMap(({ position = [0, 0, 0], token = 0, cacheIndex = 0, slot = 0 }) => {
      return [...position, token, cacheIndex, slot, 0, 0];
    }),
  );
}

/** Normal-like numbers from a seed, so that a failing case can be repeated. */
export function randomFloats(length: number, seed: number, scale = 1): Float32Array<ArrayBuffer> {
  const next = randomGenerator(seed);
  return Float32Array.from({ length }, () => (next() + next() + next() - 1.5) * 2 * scale);
}

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function randomGenerator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Demands |actual - expected| <= tolerance * largest |expected|, everywhere, and names the worst place.
 * The tolerance scales with the tensor's magnitude, as rounding does.
 */
export function expectClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  let largest = 0;
  let worst = 0;
  let worstIndex = 0;
  for (let index = 0; index < expected.length; index++) {
    largest = Math.max(largest, Math.abs(expected[index]));
    const error = Math.abs(actual[index] - expected[index]);
    // A NaN compares false with everything, so it is caught by the negation.
    if (!(error <= worst)) {
      worst = Number.isNaN(error) ? Infinity : error;
      worstIndex = index;
    }
  }
  const place = `index ${worstIndex}: expected ${expected[worstIndex]}, actual ${actual[worstIndex]}`;
  expect(worst / largest, `worst error, ${place}, largest magnitude ${largest}`).toBeLessThanOrEqual(
    tolerance,
  );
}
