import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openNodeDevice } from './webgpu-node.ts';
import type { WebGpuDevice } from './webgpu-device.ts';

const DOUBLE = `@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
override FACTOR: u32;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&x)) { y[id.x] = x[id.x] * FACTOR; }
}`;

describe('WebGpuDevice', () => {
  let device: WebGpuDevice;
  beforeAll(async () => {
    device = await openNodeDevice();
  });
  afterAll(() => device.destroy());

  it('reports an adapter with limits that the base variant needs', () => {
    const { limits, adapter } = device.capabilities;
    expect(`${adapter.vendor}${adapter.description}`).not.toBe('');
    expect(limits.maxStorageBuffers).toBeGreaterThanOrEqual(8);
    expect(limits.maxWorkgroupStorageBytes).toBeGreaterThanOrEqual(16384);
  });

  it('runs a program and reads the result back', async () => {
    const data = Uint32Array.from({ length: 100 }, (_, index) => index);
    const x = await device.createBuffer({ label: 'x', byteLength: 400, usage: 'storage' });
    const y = await device.createBuffer({ label: 'y', byteLength: 400, usage: 'storage' });
    const program = await device.createProgram({ shader: 'scale', source: DOUBLE, constants: { FACTOR: 3 } });
    expect(await device.createProgram({ shader: 'scale', source: DOUBLE, constants: { FACTOR: 3 } })).toBe(
      program,
    );
    device.write(x, 0, data);
    const recorder = device.createRecorder('scale');
    recorder.dispatch(device.createBindingSet(program, { x: { buffer: x }, y: { buffer: y } }), [2, 1, 1]);
    recorder.submit();
    expect([...new Uint32Array(await device.read(y, 0, 400))]).toEqual([...data].map((value) => value * 3));
    const before = device.allocatedBytes;
    x.destroy();
    x.destroy();
    expect(device.allocatedBytes).toBe(before - 400);
    expect(() => device.write(x, 0, data)).toThrow(/"x" is used after destroy/);
    y.destroy();
  });

  it('times each dispatch of a profiling recorder', async () => {
    const x = await device.createBuffer({ label: 'x', byteLength: 4096, usage: 'storage' });
    const y = await device.createBuffer({ label: 'y', byteLength: 4096, usage: 'storage' });
    const program = await device.createProgram({ shader: 'scale', source: DOUBLE, constants: { FACTOR: 2 } });
    const recorder = device.createProfilingRecorder('profile');
    const bindings = device.createBindingSet(program, { x: { buffer: x }, y: { buffer: y } });
    recorder.dispatch(bindings, [16, 1, 1], 'first');
    recorder.dispatch(bindings, [16, 1, 1], 'second');
    const times = await recorder.submitAndMeasure();
    expect(times.map(({ label }) => label)).toEqual(['first', 'second']);
    for (const { nanoseconds } of times) expect(nanoseconds).toBeGreaterThan(0);
  });

  it('points at the faulty line of a shader with a caret', async () => {
    const source = DOUBLE.replace('* FACTOR', '* MISSING');
    const prelude = { name: 'one', source: 'fn one() -> u32 { return 1u; }\n\n' };
    await expect(
      device.createProgram({ shader: 'broken', source, preludes: [prelude] }),
    ).rejects.toMatchObject({
      code: 'shader-invalid',
      message: expect.stringMatching(/broken\.wgsl:5:\d+: .*MISSING.*\n.*MISSING.*\n\s+\^/),
    });
  });

  it('refuses a buffer above the limit before it asks the driver', async () => {
    const byteLength = device.capabilities.limits.maxBufferBytes + 4;
    const attempt = device.createBuffer({ label: 'huge', byteLength, usage: 'storage' });
    await expect(attempt).rejects.toMatchObject({ code: 'limit-exceeded', value: byteLength });
  });

  it('reports a device that goes away as lost', async () => {
    const victim = await openNodeDevice();
    victim.handle.destroy();
    expect(await victim.lost).toMatchObject({ code: 'device-lost' });
    await expect(
      victim.createBuffer({ label: 'late', byteLength: 4, usage: 'storage' }),
    ).rejects.toMatchObject({
      code: 'device-lost',
    });
  });

  it('tells of the loss whatever the device was doing, also before it is reported', async () => {
    const victim = await openNodeDevice();
    const target = await victim.createBuffer({ label: 'target', byteLength: 64, usage: 'storage' });
    const uploads = victim.openUploads();
    victim.handle.destroy();
    const attempts = await Promise.allSettled([
      victim.createBuffer({ label: 'late', byteLength: 4, usage: 'storage' }),
      victim.read(target, 0, 64),
      victim.idle(),
      uploads.write(target, 0, new Uint8Array(64)).then(() => uploads.finish()),
    ]);
    const codes = attempts.map((one) =>
      one.status === 'rejected' ? (one.reason.code ?? one.reason) : 'none',
    );
    expect(codes).toEqual(['device-lost', 'device-lost', 'device-lost', 'device-lost']);
  });
});

describe('openNodeDevice', () => {
  it('leaves out a feature together with those that would bring it back', async () => {
    const device = await openNodeDevice({ withoutFeatures: ['subgroups'] });
    expect(device.capabilities.hasSubgroups).toBe(false);
    expect([...device.handle.features].filter((name) => name.includes('subgroup'))).toEqual([]);
    device.destroy();
  });

  it('reports limits no higher than asked for, even below what every device grants', async () => {
    const device = await openNodeDevice({
      limitCaps: {
        maxBufferSize: 4096,
        maxStorageBufferBindingSize: 1024,
        maxStorageBuffersPerShaderStage: 8,
        maxComputeWorkgroupStorageSize: 16384,
      },
    });
    expect(device.capabilities.limits).toMatchObject({
      maxBufferBytes: 4096,
      maxBindingBytes: 1024,
      maxStorageBuffers: 8,
      maxWorkgroupStorageBytes: 16384,
    });
    await expect(
      device.createBuffer({ label: 'large', byteLength: 4100, usage: 'storage' }),
    ).rejects.toMatchObject({ code: 'limit-exceeded', value: 4100, limit: 4096 });
    device.destroy();
  });
});
