import type { ProgramDescriptor } from '../../gpu/device.ts';

/**
 * A kernel of `shaders/cuda`, named by its shader and variants as `<shader>__<variant>__...`. Its text is compiled when
 * the package is built, so the descriptor has none. Kernels that WGSL has as well are described in `src/kernels`; these
 * are the ones that only CUDA has, or whose activations are in f16 there.
 */
export function cudaProgram(
  shader: string,
  {
    variants = [],
    shape = {},
    constants = {},
  }: {
    readonly variants?: readonly string[];
    readonly shape?: Readonly<Record<string, number>>;
    readonly constants?: Readonly<Record<string, number>>;
  },
): ProgramDescriptor {
  return {
    shader,
    source: '',
    preludes: variants.map((name) => ({ name, source: '' })),
    shape,
    constants,
  };
}

/** Number format of activations that a kernel writes. */
export type ActivationFormat = 'f16' | 'f32';
