import { isAutoglmError } from '../base/errors.ts';
import type { BackendReason } from './engine.ts';

/** What is known of the machine's GPU without computing on it. */
export interface GpuIdentity {
  readonly vendor: string;
  readonly architecture: string;
  /** Computes on the processor. */
  readonly isFallback: boolean;
}

/** What to do about a model that the tab could not load. */
export type Fallback =
  | { readonly kind: 'helper'; readonly reason: BackendReason }
  /** The fault stands: no helper would do better. */
  | { readonly kind: 'none' };

/** Faults that say that this tab cannot hold the model, and what they mean. */
const UNFIT: Readonly<Record<string, BackendReason['code']>> = {
  'webgpu-unavailable': 'no-webgpu',
  'limit-exceeded': 'too-small',
  'model-too-large': 'too-small',
  'out-of-memory': 'out-of-memory',
  'device-lost': 'device-lost',
};

/**
 * Decides what follows when WebGPU failed: the helper, if the tab is what is too small and the machine has a
 * discrete NVIDIA GPU, which the helper can use without a tab's limits. Other GPUs gain little from it, and a page
 * must not bother their users; `backend="helper"` takes it all the same.
 */
export function chooseFallback(fault: unknown, gpu: GpuIdentity | undefined): Fallback {
  const code = isAutoglmError(fault) ? UNFIT[fault.code] : undefined;
  if (code === undefined || gpu === undefined || !isDiscreteNvidia(gpu)) return { kind: 'none' };
  return {
    kind: 'helper',
    reason: { code, text: `WebGPU could not hold the model: ${String((fault as Error).message)}` },
  };
}

/**
 * NVIDIA makes only discrete GPUs for computers with a browser, the Tegra ones aside. An architecture that the
 * browser does not name (Hopper, and whatever comes next) counts as one.
 */
export function isDiscreteNvidia({ vendor, architecture, isFallback }: GpuIdentity): boolean {
  return vendor === 'nvidia' && !isFallback && !/tegra|swiftshader|llvmpipe/i.test(architecture);
}

/** Asks WebGPU, and WebGL where there is no WebGPU. Undefined where neither tells. */
export async function readGpuIdentity(): Promise<GpuIdentity | undefined> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter) {
    const { vendor, architecture } = adapter.info;
    const { isFallbackAdapter } = adapter.info as GPUAdapterInfo & { isFallbackAdapter?: boolean };
    return { vendor, architecture, isFallback: isFallbackAdapter === true };
  }
  return readWebGlIdentity();
}

function readWebGlIdentity(): GpuIdentity | undefined {
  const canvas = document.createElement('canvas');
  const gl = canvas.getContext('webgl2') ?? canvas.getContext('webgl');
  const info = gl?.getExtension('WEBGL_debug_renderer_info');
  const renderer: unknown = info && gl?.getParameter(info.UNMASKED_RENDERER_WEBGL);
  gl?.getExtension('WEBGL_lose_context')?.loseContext();
  if (typeof renderer !== 'string') return undefined;
  return {
    vendor: /nvidia|geforce|quadro|tesla|\brtx\b/i.test(renderer) ? 'nvidia' : '',
    architecture: /tegra/i.test(renderer) ? 'tegra' : '',
    isFallback: /swiftshader|llvmpipe|basic render/i.test(renderer),
  };
}
