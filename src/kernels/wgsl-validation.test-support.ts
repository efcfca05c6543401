import { create } from 'webgpu';
import { composeShader } from '../gpu/shader-source.ts';
import type { ProgramDescriptor } from '../gpu/device.ts';

/** Features that the software adapter lacks and whose shaders must be valid all the same. */
const FEATURES = [
  'shader-f16',
  'subgroups',
  'subgroup-size-control',
  'chromium-experimental-subgroup-matrix',
] as GPUFeatureName[];

/** Dawn frees its instance when the last reference goes; a device must not outlive it. */
let nullGpu: GPU | undefined;

/** The null backend grants no more workgroup memory than every device does. */
const TOO_LARGE = /use of workgroup storage/;

/**
 * What Dawn finds wrong with a program, by its null backend: it offers every feature, checks shaders and pipelines as
 * any other does, and computes nothing. How much workgroup memory a program takes is not looked at.
 */
export async function findProgramFaults(program: ProgramDescriptor): Promise<string[]> {
  nullGpu ??= create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = (await nullGpu.requestAdapter()) as GPUAdapter;
  const device = await adapter.requestDevice({ requiredFeatures: FEATURES });
  const module = device.createShaderModule({ code: composeShader(program).code });
  device.pushErrorScope('validation');
  device.createComputePipeline({
    layout: 'auto',
    compute: { module, entryPoint: 'main', constants: { ...program.constants } },
  });
  const [info, fault] = await Promise.all([module.getCompilationInfo(), device.popErrorScope()]);
  const faults = info.messages.filter(({ type }) => type === 'error').map(({ message }) => message);
  device.destroy();
  return fault && !TOO_LARGE.test(fault.message) ? [...faults, fault.message] : faults;
}
