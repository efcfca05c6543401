import { describe, expect, it } from 'vitest';
import { AutoglmError, type ErrorCode } from '../base/errors.ts';
import { chooseFallback, isDiscreteNvidia, type GpuIdentity } from './choose-backend.ts';

const NVIDIA: GpuIdentity = { vendor: 'nvidia', architecture: 'ampere', isFallback: false };

describe('choosing a backend', () => {
  it.each<[string, GpuIdentity, boolean]>([
    ['an NVIDIA GPU', NVIDIA, true],
    ['one that the browser does not name, such as an H100', { ...NVIDIA, architecture: '' }, true],
    ['a phone or car by NVIDIA', { ...NVIDIA, architecture: 'tegra' }, false],
    ['a fallback adapter', { ...NVIDIA, isFallback: true }, false],
    ['an AMD GPU', { ...NVIDIA, vendor: 'amd', architecture: 'rdna-3' }, false],
    ['an Intel GPU', { ...NVIDIA, vendor: 'intel', architecture: 'gen-12lp' }, false],
    ['an Apple GPU', { ...NVIDIA, vendor: 'apple', architecture: 'metal-3' }, false],
    ['a GPU that hides its name', { ...NVIDIA, vendor: '', architecture: '' }, false],
  ])('knows whether %s is a discrete NVIDIA GPU', (_, gpu, expected) => {
    expect(isDiscreteNvidia(gpu)).toBe(expected);
  });

  it.each<[ErrorCode, string | undefined]>([
    ['webgpu-unavailable', 'no-webgpu'],
    ['limit-exceeded', 'too-small'],
    ['out-of-memory', 'out-of-memory'],
    ['device-lost', 'device-lost'],
    ['network', undefined],
    ['shard-corrupt', undefined],
    ['config-invalid', undefined],
    ['request-invalid', undefined],
    ['internal', undefined],
  ])('after %s on an NVIDIA GPU takes the helper for the reason %s', (code, reason) => {
    const fault = new AutoglmError(code, 'It failed.');
    const choice = chooseFallback(fault, NVIDIA);
    expect(choice.kind === 'helper' ? choice.reason.code : undefined).toBe(reason);
    if (choice.kind === 'helper') expect(choice.reason.text).toContain('It failed.');
  });

  it('leaves the fault alone on other GPUs, and where the GPU is unknown', () => {
    const fault = new AutoglmError('out-of-memory', 'It failed.');
    expect(chooseFallback(fault, { ...NVIDIA, vendor: 'intel' })).toEqual({ kind: 'none' });
    expect(chooseFallback(fault, undefined)).toEqual({ kind: 'none' });
    expect(chooseFallback(new Error('not ours'), NVIDIA)).toEqual({ kind: 'none' });
  });
});
