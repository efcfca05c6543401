import { probeAllocation } from '../gpu/allocation-probe.ts';
import { adapterKey } from '../gpu/capabilities.ts';
import type { Device } from '../gpu/device.ts';
import { withRoom } from '../model/compile-options.ts';
import { fitModel, type FitRequest, type ModelFit, type ModelShape } from '../model/model-fit.ts';
import { refusedBytes, withProof, withRefusal, type AllocationMemory } from './allocation-memory.ts';
import type { FitReport } from './fit-report.ts';

/** What `fitOnDevice` needs beyond the model. */
export interface DeviceFitOptions {
  readonly request: FitRequest;
  readonly memory?: AllocationMemory | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A model planned for a device, and how it is known that there is room. */
export interface DeviceFit {
  readonly fit: ModelFit;
  readonly report: FitReport;
}

/** By how much less is tried at least after a refusal. */
const GUESS_SHARE = 0.01;

/**
 * Plans a model and proves by allocating that the device has room for it; while it has not, something more is
 * given up. Nothing stays allocated.
 *
 * @throws AutoglmError `model-too-large`, `device-lost`; the signal's `AbortError`
 */
export async function fitOnDevice(
  device: Device,
  shape: Omit<ModelShape, 'capabilities'>,
  { request, memory, signal }: DeviceFitOptions,
): Promise<DeviceFit> {
  const { capabilities } = device;
  const key = adapterKey(capabilities);
  let record = await memory?.get(key);
  // One byte less than what was refused.
  let budgetBytes = Math.min(request.budgetBytes ?? Infinity, refusedBytes(record) - 1);
  for (;;) {
    const fit = fitWithRoom({ ...shape, capabilities }, { ...request, budgetBytes });
    const { totalBytes } = fit.memory;
    if (record !== undefined && totalBytes <= record.provedBytes) {
      return { fit, report: toReport(fit, request, 'remembered') };
    }
    const buffers = [...fit.buffers].map(([label, buffer]) => ({ label, ...buffer }));
    const proof = await probeAllocation(device, buffers, { signal });
    // The room ends somewhere inside of the buffer that was refused.
    const endBytes = Math.min(totalBytes, proof.allocatedBytes + proof.refusedBytes);
    record = proof.fits ? withProof(record, totalBytes) : withRefusal(record, endBytes);
    await memory?.put(key, record);
    if (proof.fits) return { fit, report: toReport(fit, request, 'allocated') };
    // The share makes an end of the guessing.
    budgetBytes = Math.min(endBytes - 1, Math.floor(totalBytes * (1 - GUESS_SHARE)));
  }
}

/** Plans with room for speed where nothing has been refused yet and nothing is given up for it. */
function fitWithRoom(shape: ModelShape, request: FitRequest): ModelFit {
  if (request.budgetBytes === Infinity) {
    const roomy = fitModel(shape, withRoom(request, shape.capabilities));
    if (roomy.steps.length === 0) return roomy;
  }
  return fitModel(shape, request);
}

/** Forgets that so many bytes once found room; they did not this time. */
export async function forgetProof(
  device: Device,
  memory: AllocationMemory | undefined,
  bytes: number,
): Promise<void> {
  const key = adapterKey(device.capabilities);
  await memory?.put(key, withRefusal(await memory.get(key), bytes));
}

/** The plain part of a fit. */
export function toReport(
  { context, cacheFormat, visionFormat, memory, steps }: ModelFit,
  { patchCount }: Pick<FitRequest, 'patchCount'>,
  proof: FitReport['proof'],
): FitReport {
  return { contextWindow: context, cacheFormat, visionFormat, memory, steps, patchCount, proof };
}
