import { AutoglmError } from '../base/errors.ts';
import { chooseFallback, readGpuIdentity } from './choose-backend.ts';
import type { BackendReason, Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import type { FitReport } from './fit-report.ts';
import { openWorkerEngine } from './open-worker-engine.ts';
import { SteadyEngine, type Recovery } from './steady-engine.ts';

/**
 * Creates an engine for a page. On WebGPU the model runs in a worker; where this tab cannot hold it and the GPU is
 * a discrete NVIDIA one, on the linked helper. When the device is lost or the helper dies, the engine goes on by
 * itself where it can; `Engine.onChange` tells.
 *
 * @throws AutoglmError `webgpu-unavailable` where the browser or the machine has none, `helper-unlinked` where the
 *   helper could take over and the user has not linked it, `request-invalid` for a backend that this version does
 *   not have, or any fault of the load; the signal's `AbortError`
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { backend = 'auto' } = options;
  switch (backend) {
    case 'webgpu':
      return openWorkerEngine(options);
    case 'auto':
      return new SteadyEngine(await chooseEngine(options), createRecovery(options));
    case 'helper': {
      const reason: BackendReason = { code: 'asked-for', text: 'The page asks for the helper.' };
      const { openHelperEngine } = await loadHelper();
      return new SteadyEngine(await openHelperEngine(options, reason), createRecovery(options));
    }
    case 'remote':
      return (await loadHelper()).openRemoteEngine(options);
    case 'web-llm':
      return (await import('./web-llm/web-llm-engine.ts')).openWebLlmEngine(options);
    default:
      throw new AutoglmError('request-invalid', `The backend "${backend}" is not available.`, {
        value: backend,
        limit: 'auto, webgpu, helper, remote or web-llm',
        cure: 'Use backend="auto".',
      });
  }
}

/**
 * What a model would take on this machine's GPU: exact bytes of weights, KV cache, work space and a screenshot, and
 * what would have to be given up. Where nothing would, a load takes more, as room for longer prefill chunks and larger
 * image pieces. Reads the model's json files and no weights, and allocates nothing.
 *
 * @throws AutoglmError `webgpu-unavailable`, `model-too-large`, or what reading the model folder throws
 */
export async function planModel(options: EngineOptions): Promise<FitReport> {
  // The planner is loaded by pages that ask for it.
  return (await import('./plan-model.ts')).planModel(options);
}

async function chooseEngine(options: EngineOptions): Promise<Engine> {
  try {
    return await openWorkerEngine(options);
  } catch (fault) {
    options.signal?.throwIfAborted();
    const engine = await fallBack(fault, options);
    if (engine === undefined) throw fault;
    return engine;
  }
}

/** The helper in place of a tab that is too small; undefined where that would not help. */
async function fallBack(fault: unknown, options: EngineOptions): Promise<Engine | undefined> {
  const choice = chooseFallback(fault, await readGpuIdentity());
  if (choice.kind === 'none') return undefined;
  try {
    const { openHelperEngine } = await loadHelper();
    return await openHelperEngine(options, choice.reason);
  } catch (error) {
    // Both are worth knowing: what the tab lacks, and what the helper needs.
    if (!(error instanceof AutoglmError)) throw error;
    const { code, message, value, limit, cure } = error;
    throw withCure(
      new AutoglmError(code, `${choice.reason.text} ${message}`, { value, limit, cause: fault }),
      cure,
    );
  }
}

/** What speaks to helpers and servers is loaded only by pages that need one. */
const loadHelper = () => import('./helper-engine.ts');

/** What to do when an engine fails in the middle: wait for the helper, or take it, or load WebGPU again. */
function createRecovery(options: EngineOptions): Recovery {
  let hasReloaded = false;
  return {
    recover: async (fault, failed, signal) => {
      if (failed.info.backend === 'helper') return (await loadHelper()).waitForHelper(options, signal);
      const recoveryOptions = { ...options, signal };
      // A worker whose device is lost still holds memory that the next one needs.
      await failed.unload().catch(() => {});
      const helper = await fallBack(fault, recoveryOptions).catch(() => undefined);
      if (helper !== undefined) return helper;
      // Once: a device that is lost again at the same place would be lost for ever.
      if (hasReloaded || fault.code !== 'device-lost') return undefined;
      hasReloaded = true;
      return openWorkerEngine(recoveryOptions).catch(() => undefined);
    },
  };
}

/** The message has the cure in it already. */
function withCure(error: AutoglmError, cure: string | undefined): AutoglmError {
  Object.defineProperty(error, 'cure', { value: cure, enumerable: true });
  return error;
}
