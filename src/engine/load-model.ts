import { AutoglmError, isAutoglmError } from '../base/errors.ts';
import { describeAdapter } from '../gpu/capabilities.ts';
import type { Device } from '../gpu/device.ts';
import { smartResize } from '../image/smart-resize.ts';
import type { CacheFormat } from '../kernels/kernel.ts';
import type { TextConfig } from '../model/config.ts';
import { cacheBytesPerToken } from '../model/key-value-cache.ts';
import { LanguageModel, type StreamTensors } from '../model/language-model.ts';
import type { FitRequest } from '../model/model-fit.ts';
import { narrowStream } from '../model/narrow-vision.ts';
import type { TilingMemory } from '../model/tiling-memory.ts';
import { openModel, type ModelFiles, type OpenModelOptions } from '../storage/model-loader.ts';
import { digestPiece } from '../storage/sha256.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import type { AllocationMemory } from './allocation-memory.ts';
import { fitOnDevice, forgetProof, type DeviceFit } from './device-fit.ts';
import type { EngineInfo, LoadProgress } from './engine.ts';
import { readModelTexts, vocabularySizeOf, type ModelTexts } from './model-texts.ts';

/** How a model is made to fit; see `EngineOptions` for what each means. */
export interface FitOptions {
  readonly contextWindow?: number | undefined;
  readonly smallestContextWindow?: number | undefined;
  readonly cacheFormat?: CacheFormat | undefined;
  readonly visionFormat?: FitRequest['visionFormat'];
  readonly memoryBudget?: number | undefined;
  readonly slots?: number | undefined;
}

/** What a model is loaded from, and onto what. */
export interface LoadOptions
  extends FitOptions, Pick<OpenModelOptions, 'cache' | 'verify' | 'refresh' | 'createSha256'> {
  readonly source: ShardSource;
  /** The engine owns it from now on. */
  readonly device: Device;
  /** What earlier loads found out about the adapter's memory. */
  readonly allocations?: AllocationMemory | undefined;
  /** Which forms of a decode step's products earlier loads found fastest on the adapter. */
  readonly tilings?: TilingMemory | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** A model on a device, with the texts of its folder and what is told of it. */
export interface LoadedModel {
  readonly model: LanguageModel;
  readonly texts: ModelTexts;
  readonly info: EngineInfo;
  /** Bytes of the stored weights. */
  readonly byteLength: number;
  /** Names config and weights: equal for equal folders, however they were loaded. */
  readonly fingerprint: string;
}

/** Context window when nobody asks for one: long enough for some agent steps, small enough for most cards. */
export const DEFAULT_CONTEXT_WINDOW = 8192;

/** Screens of common phones: a plan has room for their pictures. Larger ones are encoded too, if there is room. */
const SCREENSHOTS = [
  { width: 1080, height: 2400 },
  { width: 1080, height: 2160 },
] as const;

/** Reads a model folder, proves that it fits, streams its weights to the device and compiles. */
export async function loadModel(options: LoadOptions): Promise<LoadedModel> {
  const { source, device, allocations, signal, onProgress } = options;
  const report = (progress: Omit<LoadProgress, 'bytesPerSecond'>): void =>
    onProgress?.({ ...progress, bytesPerSecond: 0 });
  report({ phase: 'checking', loadedBytes: 0, totalBytes: 0 });
  const files = await openModel(source, {
    cache: options.cache,
    refresh: options.refresh,
    verify: options.verify,
    createSha256: options.createSha256,
    ...(signal && { signal }),
  });
  const texts = await readModelTexts(files, signal);
  const request = toFitRequest(options, files, texts);
  const shape = { config: texts.config, tensors: files.manifest.tensors };
  const { byteLength } = files.manifest;
  for (;;) {
    const planned = await fitOnDevice(device, shape, { request, memory: allocations, signal });
    report({ phase: 'checking', loadedBytes: 0, totalBytes: byteLength, plan: planned.report });
    try {
      const bytes = { loadedBytes: byteLength, totalBytes: byteLength };
      const onCompile = (): void => report({ phase: 'compiling', ...bytes });
      const model = await loadPlanned(options, { files, texts, request, planned, onCompile });
      const fingerprint = await fingerprintOf(files, texts);
      return { model, texts, info: toInfo(device, files, { planned, texts }), byteLength, fingerprint };
    } catch (error) {
      // What had room once has none today: planned again, with a proof.
      if (!isAutoglmError(error, 'out-of-memory') || planned.report.proof !== 'remembered') throw error;
      await forgetProof(device, allocations, planned.fit.memory.totalBytes);
    }
  }
}

/** The plan's own choices come after the request's, which they replace: it may have room for longer chunks. */
function loadPlanned(
  { device, tilings, signal, onProgress }: LoadOptions,
  parts: {
    files: ModelFiles;
    texts: ModelTexts;
    request: FitRequest;
    planned: DeviceFit;
    onCompile: () => void;
  },
): Promise<LanguageModel> {
  const { files, texts, request, onCompile } = parts;
  const { context, cacheFormat, vision, options } = parts.planned.fit;
  const { prefillChunk, imagePieceWords } = options;
  const streamTensors: StreamTensors = (write) =>
    files.streamTensors({
      onProgress,
      onTensorBytes: ({ name }, byteOffset, piece) => write(name, byteOffset, piece),
      ...(signal && { signal }),
    });
  return LanguageModel.load(device, {
    ...request,
    config: texts.config,
    tensors: vision.tensors,
    context,
    cacheFormat,
    prefillChunk,
    imagePieceWords,
    streamTensors: narrowStream(streamTensors, vision),
    tilings,
    onCompile,
    signal,
  });
}

/** What the options ask of a plan for this model. */
export function toFitRequest(options: FitOptions, { manifest }: ModelFiles, texts: ModelTexts): FitRequest {
  const cacheFormat = options.cacheFormat ?? (manifest.quantization === 'q0f32' ? 'f32' : undefined);
  const context = requireContext(options, texts.config.text.maxPositionEmbeddings);
  return {
    context,
    smallestContext: options.smallestContextWindow,
    slots: requireSlots(options.slots) ?? defaultSlots(texts.config.text, { context, cacheFormat }),
    ...(cacheFormat && { cacheFormat }),
    visionFormat: options.visionFormat,
    budgetBytes: options.memoryBudget,
    patchCount: countPatches(texts),
  };
}

/** Bytes of KV cache that nobody has to ask for. */
const SLOT_BYTES = 512 * 2 ** 20;
const MOST_DEFAULT_SLOTS = 4;
/** More are possible, but no step takes more sequences. */
const MOST_SLOTS = 64;

/** As many conversations side by side as take little memory: 1 of the 9B at a context of 8192, 4 of a small model. */
function defaultSlots(
  config: TextConfig,
  { context, cacheFormat }: { context: number; cacheFormat: CacheFormat | undefined },
): number {
  const slotBytes = cacheBytesPerToken(config, cacheFormat ?? 'f16') * context;
  return Math.max(1, Math.min(MOST_DEFAULT_SLOTS, Math.floor(SLOT_BYTES / slotBytes)));
}

function requireSlots(slots: number | undefined): number | undefined {
  if (slots === undefined || (Number.isInteger(slots) && slots >= 1 && slots <= MOST_SLOTS)) return slots;
  throw new AutoglmError('request-invalid', `Cannot load with ${slots} slots.`, {
    value: slots,
    limit: `an integer from 1 to ${MOST_SLOTS}`,
    cure: 'Ask for as many as there are conversations at a time.',
  });
}

function countPatches({ preprocessor }: ModelTexts): number {
  if (preprocessor === undefined) return 0;
  const counts = SCREENSHOTS.map((screen) => {
    const { width, height } = smartResize(screen.width, screen.height, preprocessor);
    return (width * height) / preprocessor.patchSize ** 2;
  });
  return Math.max(...counts);
}

/** Shards of folders without sha256 are told apart by their sizes alone. */
async function fingerprintOf({ manifest }: ModelFiles, { config }: ModelTexts): Promise<string> {
  const shards = manifest.shards.map(({ byteLength, sha256 }) => sha256 ?? byteLength);
  const text = JSON.stringify([config, shards]);
  return digestPiece(new TextEncoder().encode(text));
}

function toInfo(
  device: Device,
  { label, manifest }: ModelFiles,
  { planned: { report }, texts }: { planned: DeviceFit; texts: ModelTexts },
): EngineInfo {
  return {
    model: modelName(label),
    backend: device.capabilities.cuda ? 'cuda' : 'webgpu',
    adapter: describeAdapter(device.capabilities),
    isSoftware: device.capabilities.isSoftware,
    contextWindow: report.contextWindow,
    gpuBytes: device.allocatedBytes,
    quantization: manifest.quantization ?? 'unknown',
    vocabularySize: vocabularySizeOf(texts),
    plan: report,
  };
}

function requireContext(
  { contextWindow: asked, smallestContextWindow: smallest = Infinity }: FitOptions,
  most: number,
): number {
  const fallsBack = asked === undefined || smallest <= most;
  const context = fallsBack ? Math.min(asked ?? DEFAULT_CONTEXT_WINDOW, most) : asked;
  if (Number.isInteger(context) && context >= 16 && context <= most) return context;
  throw new AutoglmError('request-invalid', `Cannot load with a context window of ${context} tokens.`, {
    value: context,
    limit: `16 to ${most}`,
    cure: 'Choose a context window that the model was trained for.',
  });
}

/** Last part of a folder's path or URL. */
function modelName(label: string): string {
  return label.replace(/\/+$/, '').split('/').at(-1) || label;
}
