import type { Device } from '../gpu/device.ts';
import {
  COUNTING_WORD,
  layerMail,
  layerWorkgroupBytes,
  supportsDecodeLayer,
  type LayerTiling,
} from '../kernels/decode-layer.ts';
import type { KernelCall } from '../kernels/kernel.ts';
import type { BufferTable } from './buffer-table.ts';
import type { CompileOptions, DecodeReach } from './compile-options.ts';
import { compileDecode } from './compile-text.ts';
import { usesInt8 } from './compile-decode-int8.ts';
import type { ModelConfig } from './config.ts';
import { PlanRunner } from './plan-runner.ts';
import type { TextLayerWeights, TextWeights } from './weight-layout.ts';

/** What the Plans of a decode step are compiled from. */
export interface DecodeParts {
  readonly config: ModelConfig;
  readonly weights: TextWeights;
  readonly options: CompileOptions;
}

/** Invocations of a whole layer's workgroup: an NVIDIA multiprocessor runs one such workgroup with its registers. */
const WORKGROUP = 512;

/** Teams of eight invocations in a workgroup: each joins a split of the keys. */
const MOST_SPLITS = WORKGROUP / 8;

/** More workgroups than any GPU runs at the same time. */
const COUNTED_WORKGROUPS = 1024;

/** With fewer the waiting costs more than the dispatches that it saves. */
const LEAST_RESIDENTS = 16;

/**
 * Options that run a decode step by whole layers (`decodeLayer`), where the device and the model can: its workgroups
 * wait for each other, and WebGPU neither promises that they run at the same time nor says how many do. So the kernel
 * counts them first, on the device itself.
 *
 * @throws AutoglmError `out-of-memory`, `device-lost`
 */
export async function withWholeLayers(
  device: Device,
  buffers: BufferTable,
  { config, weights, options }: DecodeParts,
): Promise<CompileOptions> {
  if (options.layerTiling || !mayRunWholeLayers(config, weights, options)) return options;
  const counting = { ...options, layerTiling: tilingOf(128, config) };
  const workgroups = await countResidents(device, buffers, { config, weights, options: counting }, 'near');
  const layerTiling = tilingOf(workgroups, config);
  const { maxWorkgroupStorageBytes } = device.capabilities.limits;
  const fits =
    layerWorkgroupBytes({ ...config.text, ...options, tiling: layerTiling }) <= maxWorkgroupStorageBytes;
  return workgroups >= LEAST_RESIDENTS && fits ? { ...options, layerTiling } : options;
}

/**
 * Whether as many workgroups of the form for many keys run at the same time as its layers have. Counting takes the device
 * some tens of milliseconds.
 *
 * @throws AutoglmError `out-of-memory`, `device-lost`
 */
export async function canReachFar(
  device: Device,
  buffers: BufferTable,
  parts: DecodeParts,
): Promise<boolean> {
  const { allowsWholeLayers, layerTiling } = parts.options;
  // Whoever chose the tiling without that vouches for it.
  if (!allowsWholeLayers || !layerTiling) return true;
  return (await countResidents(device, buffers, parts, 'far')) >= layerTiling.workgroups;
}

/** Options whose decode steps need as much memory as those of `withWholeLayers` may, before a device has counted. */
export function withMostSplits(
  config: ModelConfig,
  weights: TextWeights,
  options: CompileOptions,
): CompileOptions {
  if (options.layerTiling || !mayRunWholeLayers(config, weights, options)) return options;
  return { ...options, layerTiling: tilingOf(COUNTED_WORKGROUPS, config) };
}

/** A split of the keys for each workgroup, but not more than the workgroup that joins them takes in one go. */
function tilingOf(workgroups: number, { text }: ModelConfig): LayerTiling {
  const splits = Math.max(1, Math.min(MOST_SPLITS, Math.floor(workgroups / text.KV)));
  return { workgroups, workgroup: WORKGROUP, splits };
}

function mayRunWholeLayers(config: ModelConfig, weights: TextWeights, options: CompileOptions): boolean {
  return (
    options.allowsWholeLayers &&
    usesInt8(config.text, weights, options) &&
    supportsDecodeLayer(config.text, WORKGROUP) &&
    weights.layers.every(isOneBuffer)
  );
}

/** Whether a binding to the layer's buffer reaches all of its weights. */
function isOneBuffer({ qkv, o, gateUp, down, inputNorm, postMlpNorm }: TextLayerWeights): boolean {
  const matrices = [qkv, o, gateUp, down];
  const names = [
    inputNorm,
    postMlpNorm,
    ...matrices.flatMap(({ parts }) => parts.map(({ weight }) => weight)),
  ];
  return (
    matrices.every(({ parts }) => parts.length === 1) &&
    names.every(({ buffer }) => buffer === inputNorm.buffer)
  );
}

/** How many workgroups of a layer's own program, with all that it takes of a multiprocessor, run at the same time. */
async function countResidents(
  device: Device,
  buffers: BufferTable,
  { config, weights, options }: DecodeParts,
  reach: DecodeReach,
): Promise<number> {
  const plan = compileDecode(config, weights, options, 1, reach);
  await buffers.ensureScratch([plan]);
  const layer = plan.calls.find(({ program }) => program.shader === 'decode-layer') as KernelCall;
  const calls = [{ ...layer, grid: [COUNTED_WORKGROUPS, 1, 1] as const }];
  const tiling = options.layerTiling as LayerTiling;
  const runner = await PlanRunner.create(device, { ...plan, calls }, buffers);
  const mail = buffers.get(layer.bindings['mail'].buffer);
  const words = layerMail(config.text, reach === 'far' ? 0 : tiling.splits);
  const rows = buffers.get(layer.bindings['rows'].buffer);
  const recorder = device.createRecorder('count resident workgroups');
  runner.record(recorder, {});
  // All at once: a step that comes in between would only count, too.
  device.write(rows, COUNTING_WORD * 4, Uint32Array.of(1));
  const counted = device.submitAndRead(recorder, mail, words.residents * 4, 4);
  device.write(rows, COUNTING_WORD * 4, Uint32Array.of(0));
  const [residents] = new Uint32Array(await counted);
  device.write(mail, words.status * 4, new Uint32Array(3));
  return residents;
}
