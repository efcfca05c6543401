/** The CUDA backend's host side on a driver that only remembers what it was asked. */
import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import type { CudaDevice } from './cuda-device.ts';
import type { CudaDriver } from './cuda-driver.ts';
import { resolveKernel, type KernelBinary, type KernelManifest } from './cuda-kernels.ts';
import { openHelperDevice } from './open-device.ts';
import { openCudaDevice } from './open-cuda.ts';

const MANIFEST: KernelManifest = {
  abi: 2,
  cuda: '13.0',
  targets: ['sm_90a'],
  sha256: '',
  kernels: {
    add__weight_q4: {
      threads: 128,
      sharedBytes: 0,
      parameters: [
        { name: 'x', type: 'buffer' },
        { name: 'N', type: 'u32' },
        { name: 'y', type: 'buffer' },
        { name: 'SCALE', type: 'f32' },
      ],
    },
    add__weight_f16: { threads: 64, sharedBytes: 0, parameters: [{ name: 'x', type: 'buffer' }] },
    attend__D_32: { threads: 64, sharedBytes: 65536, parameters: [{ name: 'x', type: 'buffer' }] },
    attend__D_128: { threads: 64, sharedBytes: 65536, parameters: [{ name: 'x', type: 'buffer' }] },
    meet: { threads: 32, sharedBytes: 0, parameters: [{ name: 'x', type: 'buffer' }], isCooperative: true },
  },
};

const KERNELS: KernelBinary = { manifest: MANIFEST, image: new Uint8Array(4) };

interface FakeOptions {
  /** Results by function name; success for the others. */
  readonly results?: Readonly<Record<string, number>>;
  readonly driverVersion?: number;
  readonly computeCapability?: readonly [number, number];
}

/** What a launch asks for: `cooperative` or `early`, or neither. */
type LaunchKind = 'cooperative' | 'early' | 'plain';

/** A driver with 8 GB of pretended memory at made-up addresses. */
function createFake({ results = {}, driverVersion = 13000, computeCapability = [9, 0] }: FakeOptions = {}) {
  const calls: string[] = [];
  const launches: LaunchKind[] = [];
  const memories = new Map<bigint, ArrayBuffer>();
  let next = 0x1000n;
  const give = (out: BigUint64Array): void => {
    out[0] = next;
    next += 0x1000n;
  };
  const values: Record<string, (...args: never[]) => void> = {
    cuDriverGetVersion: (out: Int32Array) => (out[0] = driverVersion),
    cuDeviceGetCount: (out: Int32Array) => (out[0] = 1),
    cuDeviceGetName: (out: Uint8Array) => out.set(new TextEncoder().encode('Fake GPU')),
    cuDeviceGetAttribute: (out: Int32Array, attribute: number) => {
      out[0] = { 75: computeCapability[0], 76: computeCapability[1], 97: 227 * 1024 }[attribute] ?? 132;
    },
    cuDeviceTotalMem_v2: (out: BigUint64Array) => (out[0] = 8_000_000_000n),
    cuMemGetInfo_v2: (out: BigUint64Array) => (out[0] = 1234n),
    cuDevicePrimaryCtxRetain: give,
    cuStreamCreate: give,
    cuEventCreate: give,
    cuMemAlloc_v2: give,
    cuModuleLoadData: give,
    cuModuleGetFunction: give,
    cuGraphInstantiateWithFlags: give,
    cuStreamEndCapture: (_stream: bigint, out: BigUint64Array) => give(out),
    cuLaunchKernelEx: (config: Uint8Array) => {
      // CUlaunchConfig has its attributes at 40 and their number at 48; a CUlaunchAttribute its id at 0, its value at 8.
      const view = new DataView(config.buffer, config.byteOffset);
      const attribute = new DataView(memories.get(view.getBigUint64(40, true)) as ArrayBuffer);
      const id =
        view.getUint32(48, true) === 1 && attribute.getInt32(8, true) === 1 && attribute.getUint32(0, true);
      launches.push(id === 2 ? 'cooperative' : id === 6 ? 'early' : 'plain');
    },
    cuMemAllocHost_v2: (out: BigUint64Array, bytes: bigint) => {
      give(out);
      memories.set(out[0], new ArrayBuffer(Number(bytes)));
    },
  };
  const driver = new Proxy({} as CudaDriver, {
    get(_target, name: string) {
      // Not a promise.
      if (name === 'then') return undefined;
      if (name === 'view') return (pointer: bigint) => memories.get(pointer);
      if (name === 'addressOf') {
        return (memory: ArrayBuffer) => {
          const address = next;
          next += 0x1000n;
          memories.set(address, memory);
          return address;
        };
      }
      return (...args: never[]) => {
        calls.push(name);
        values[name]?.(...args);
        return results[name] ?? 0;
      };
    },
  });
  const count = (name: string): number => calls.filter((call) => call === name).length;
  return { driver, calls, count, memories, launches };
}

function open(options: FakeOptions = {}) {
  const fake = createFake(options);
  const device = openCudaDevice({ loadDriver: async () => fake.driver, readKernels: async () => KERNELS });
  return { ...fake, device };
}

const ADD = {
  shader: 'add',
  source: '',
  preludes: [{ name: 'weight-q4', source: '' }],
  constants: { N: 7, SCALE: 0.5 },
};

async function bindAdd(device: CudaDevice) {
  const program = await device.createProgram(ADD);
  const x = await device.createBuffer({ label: 'x', byteLength: 64, usage: 'storage' });
  const y = await device.createBuffer({ label: 'y', byteLength: 64, usage: 'storage' });
  return {
    x,
    y,
    bindings: device.createBindingSet(program, { x: { buffer: x, byteOffset: 32 }, y: { buffer: y } }),
  };
}

describe('resolveKernel', () => {
  it('chooses by preludes and shape', () => {
    expect(resolveKernel(MANIFEST, ADD).symbol).toBe('add__weight_q4');
    const attend = { shader: 'attend', source: '', shape: { D: 128 } };
    expect(resolveKernel(MANIFEST, attend).symbol).toBe('attend__D_128');
  });

  it.each([
    [{ ...ADD, preludes: [{ name: 'weight-q8', source: '' }] }, /no CUDA kernel fits "add__weight_q8"/],
    [{ ...ADD, preludes: [...ADD.preludes, { name: 'weight-f16', source: '' }] }, /several CUDA kernels/],
    [{ ...ADD, constants: { N: 7 } }, /needs a value for "SCALE"/],
  ])('refuses what it cannot call', (descriptor, message) => {
    expect(() => resolveKernel(MANIFEST, descriptor)).toThrow(message);
  });
});

describe('openCudaDevice', () => {
  it('reports the GPU', async () => {
    const device = await open().device;
    expect(device.capabilities.adapter.device).toBe('Fake GPU');
    expect(device.capabilities.cuda).toEqual({ computeCapability: 9, multiprocessors: 132 });
    expect(device.capabilities.limits.maxBufferBytes).toBe(8e9);
  });

  it.each([
    ['no GPU', { results: { cuInit: 100 } }, /gives no GPU: no device \(100\)/],
    ['an old driver', { driverVersion: 12080 }, /too old: it knows CUDA 12\.8, and the kernels need CUDA 13/],
    ['PTX that is too new', { results: { cuModuleLoadData: 222 } }, /driver is too old/],
    ['a GPU without kernels', { results: { cuModuleLoadData: 209 } }, /no kernels for Fake GPU/],
    ['an old GPU', { computeCapability: [6, 1] as const }, /Fake GPU is too old/],
  ])('says what is wrong and what to do: %s', async (_, options, message) => {
    const error: unknown = await open(options).device.catch((reason: unknown) => reason);
    expect(isAutoglmError(error, 'cuda-unavailable')).toBe(true);
    expect((error as Error).message).toMatch(message);
    expect((error as { cure?: string }).cure).toBeTruthy();
  });

  it('is not what a caller gets who asks for CUDA where there is none', async () => {
    if (process.env['CUDA_VISIBLE_DEVICES']) return;
    const error: unknown = await openHelperDevice({ device: 'cuda' }).then(
      ({ device }) => device.destroy(),
      (reason: unknown) => reason,
    );
    if (error !== undefined) expect(isAutoglmError(error, 'cuda-unavailable')).toBe(true);
  });
});

describe('CudaDevice', () => {
  it('packs parameters by name, aligned as C does', async () => {
    const { device: opening, memories } = open();
    const { bindings } = await bindAdd(await opening);
    const view = new DataView(memories.get(bindings.extra) as ArrayBuffer);
    const place = Number(view.getBigUint64(8, true) - bindings.extra);
    expect(view.getBigUint64(place, true) % 0x1000n).toBe(32n);
    expect(view.getUint32(place + 8, true)).toBe(7);
    expect(view.getBigUint64(place + 16, true) % 0x1000n).toBe(0n);
    expect(view.getFloat32(place + 24, true)).toBe(0.5);
    // The size that `extra` points to.
    expect(view.getBigUint64(Number(view.getBigUint64(24, true) - bindings.extra), true)).toBe(28n);
  });

  it('refuses bindings that are missing or unknown', async () => {
    const device = await open().device;
    const { x } = await bindAdd(device);
    const program = await device.createProgram(ADD);
    expect(() => device.createBindingSet(program, { x: { buffer: x } })).toThrow(/needs a binding for "y"/);
    expect(() => device.createBindingSet(program, { z: { buffer: x } })).toThrow(/declares no binding "z"/);
  });

  it('launches a sequence once, captures it the second time, and replays it from then on', async () => {
    const { device: opening, count } = open();
    const device = await opening;
    const { bindings } = await bindAdd(device);
    const step = (grid: number): void => {
      const recorder = device.createRecorder('step');
      for (let i = 0; i < 20; i++) recorder.dispatch(bindings, [grid, 1, 1]);
      recorder.submit();
    };
    step(1);
    expect([count('cuLaunchKernelEx'), count('cuGraphLaunch')]).toEqual([20, 0]);
    step(1);
    expect([count('cuLaunchKernelEx'), count('cuGraphLaunch')]).toEqual([40, 1]);
    step(1);
    step(1);
    expect([count('cuLaunchKernelEx'), count('cuGraphLaunch')]).toEqual([40, 3]);
    step(2);
    expect([count('cuLaunchKernelEx'), count('cuGraphLaunch')]).toEqual([60, 3]);
    device.destroy();
    expect(count('cuGraphExecDestroy')).toBe(1);
  });

  it('says which launch failed when a sequence is captured, and leaves nothing behind', async () => {
    const results: Record<string, number> = {};
    const { device: opening, count } = open({ results });
    const device = await opening;
    const { bindings } = await bindAdd(device);
    const step = (): void => {
      const recorder = device.createRecorder('step');
      for (let i = 0; i < 20; i++) recorder.dispatch(bindings, [1, 1, 1], 'layer.0');
      recorder.submit();
    };
    step();
    Object.assign(results, { cuLaunchKernelEx: 701, cuStreamEndCapture: 901 });
    expect(step).toThrow(/launch "add.*" for layer\.0 on 1 x 1 x 1 blocks: a kernel asks for too many/);
    Object.assign(results, { cuLaunchKernelEx: 0, cuStreamEndCapture: 0, cuGraphInstantiateWithFlags: 2 });
    expect(step).toThrow(/make a graph: out of memory/);
    expect(count('cuGraphDestroy')).toBe(1);
    results['cuGraphInstantiateWithFlags'] = 0;
    step();
    expect([count('cuGraphDestroy'), count('cuGraphLaunch')]).toEqual([2, 1]);
  });

  it('starts kernels early, but none whose blocks wait for each other nor the one behind it', async () => {
    const launchAll = async (options: FakeOptions): Promise<LaunchKind[]> => {
      const { device: opening, launches } = open(options);
      const device = await opening;
      const { x, bindings } = await bindAdd(device);
      const meet = device.createBindingSet(await device.createProgram({ shader: 'meet', source: '' }), {
        x: { buffer: x },
      });
      const recorder = device.createRecorder('step');
      for (const set of [bindings, meet, bindings, bindings]) recorder.dispatch(set, [1, 1, 1]);
      recorder.submit();
      return launches;
    };
    expect(await launchAll({})).toEqual(['early', 'cooperative', 'plain', 'early']);
    expect(await launchAll({ computeCapability: [8, 9] })).toEqual([
      'plain',
      'cooperative',
      'plain',
      'plain',
    ]);
  });

  it('counts memory, clears it, and frees it once', async () => {
    const { device: opening, count } = open();
    const device = await opening;
    const buffer = await device.createBuffer({ label: 'b', byteLength: 10, usage: 'storage' });
    expect([buffer.byteLength, device.allocatedBytes, count('cuMemsetD8Async')]).toEqual([12, 12, 1]);
    buffer.destroy();
    buffer.destroy();
    expect([device.allocatedBytes, count('cuMemFree_v2')]).toEqual([0, 1]);
  });

  it('says how much is free when memory runs out', async () => {
    const device = await open({ results: { cuMemAlloc_v2: 2 } }).device;
    const error = device.createBuffer({ label: 'big', byteLength: 1e9, usage: 'storage' });
    await expect(error).rejects.toMatchObject({ code: 'out-of-memory', value: 1e9, limit: 1234 });
  });

  it('is lost after a fault in a kernel, and says so to everyone', async () => {
    const device = await open({ results: { cuEventQuery: 700 } }).device;
    const { x } = await bindAdd(device);
    await expect(device.read(x, 0, 16)).rejects.toMatchObject({ code: 'device-lost' });
    expect((await device.lost).code).toBe('device-lost');
    await expect(device.idle()).rejects.toMatchObject({ code: 'device-lost' });
  });

  it('reads back and writes in pieces of pinned memory', async () => {
    const { device: opening, count } = open();
    const device = await opening;
    const { x } = await bindAdd(device);
    device.write(x, 0, new Uint8Array(64));
    device.write(x, 16, new Uint8Array(16));
    expect([count('cuMemAllocHost_v2'), count('cuMemcpyHtoDAsync_v2')]).toEqual([1, 2]);
    expect((await device.read(x, 0, 16)).byteLength).toBe(16);
    expect(() => device.write(x, 32, new Uint8Array(64))).toThrow(/goes past its end/);
    device.destroy();
    await expect(device.read(x, 0, 4)).rejects.toMatchObject({ code: 'engine-unloaded' });
  });
});
