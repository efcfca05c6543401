import { product } from '../base/maths.ts';
import { ASSUMED_GPU } from '../model/assumed-gpu.ts';
import { compileDecode, compilePrefill } from '../model/compile-text.ts';
import { fitModel, type FitSettings } from '../model/model-fit.ts';
import { measurePlan, type PlanCost } from '../model/plan-cost.ts';
import { parseModelConfig, type ModelConfig } from '../model/config.ts';
import { VALUES_PER_WORD } from '../model/quantization.ts';
import { expectedTensors, type ExpectedTensor } from '../model/tensor-names.ts';
import { parseManifest, type Manifest } from '../storage/manifest.ts';
import { AutoglmError } from '../base/errors.ts';
import { readModelFile } from './model-folder.ts';

/** Tensors of one stored format. */
export interface FormatSummary {
  readonly format: 'q4' | 'q8' | 'f16' | 'f32';
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

/** What a plan is made for. */
export interface PlanWishes {
  readonly context?: number | undefined;
  /** Bytes that the GPU has for the model; what does not fit is then made to. */
  readonly memoryBudget?: number | undefined;
}

/** What a model folder holds. */
export interface ModelSummary {
  readonly model: string;
  readonly architecture: string;
  readonly quantization: string | undefined;
  readonly text: ModelConfig['text'];
  readonly vision: ModelConfig['vision'];
  readonly parameters: number;
  readonly bytes: number;
  readonly bitsPerParameter: number;
  readonly shards: number;
  readonly largestShardBytes: number;
  /** True when every shard has a sha256. */
  readonly hashed: boolean;
  readonly formats: readonly FormatSummary[];
  readonly plan: PlanSummary;
}

/** What running the model takes, compiled for a discrete GPU in a stock browser. */
export interface PlanSummary extends FitSettings {
  /** Of one decode step. */
  readonly decode: PlanCost;
  /** Of one prefill chunk of `prefillChunk` tokens. */
  readonly prefill: PlanCost;
  readonly prefillChunk: number;
}

/** Context window of the plan when none is asked for. */
const DEFAULT_CONTEXT = 8192;

/** Patches of a 1080x2400 screenshot at max_pixels 5,000,000. */
const SCREENSHOT_PATCHES = 168 * 74;

/**
 * Reads a model folder's config and manifest and checks them against each other.
 *
 * @throws AutoglmError `file-missing`, `config-invalid`, `architecture-unsupported`, `manifest-invalid`,
 *   `tensor-missing`, `tensor-unknown` or `tensor-shape`.
 */
export async function inspectModel(folder: string, wishes: PlanWishes = {}): Promise<ModelSummary> {
  const config = parseModelConfig(parseJson(await readModelFile(folder, 'config.json')));
  const manifest = parseManifest(await readModelFile(folder, 'tensor-cache.json'));
  const formats = summariseFormats(expectedTensors(config), manifest);
  const parameters = formats.reduce((total, one) => total + one.parameters, 0);
  return {
    model: folder,
    architecture: config.architecture,
    quantization: manifest.quantization,
    text: config.text,
    vision: config.vision,
    parameters,
    bytes: manifest.byteLength,
    bitsPerParameter: (manifest.byteLength * 8) / parameters,
    shards: manifest.shards.length,
    largestShardBytes: Math.max(...manifest.shards.map(({ byteLength }) => byteLength)),
    hashed: manifest.shards.every(({ sha256 }) => sha256 !== undefined),
    formats,
    plan: summarisePlan(config, manifest, wishes),
  };
}

function summarisePlan(config: ModelConfig, manifest: Manifest, wishes: PlanWishes): PlanSummary {
  const cacheFormat = manifest.quantization === 'q0f32' ? 'f32' : undefined;
  const { layout, options, context, memory, steps, visionFormat, ...fit } = fitModel(
    { config, tensors: manifest.tensors, capabilities: ASSUMED_GPU },
    {
      context: wishes.context ?? Math.min(config.text.maxPositionEmbeddings, DEFAULT_CONTEXT),
      ...(cacheFormat && { cacheFormat }),
      budgetBytes: wishes.memoryBudget,
      patchCount: SCREENSHOT_PATCHES,
    },
  );
  return {
    context,
    memory,
    cacheFormat: fit.cacheFormat,
    visionFormat,
    steps,
    decode: measurePlan(compileDecode(config, layout.text, options, 1)),
    prefill: measurePlan(compilePrefill(config, layout.text, options)),
    prefillChunk: options.prefillChunk,
  };
}

function summariseFormats(expected: readonly ExpectedTensor[], manifest: Manifest): readonly FormatSummary[] {
  const formats = new Map<string, FormatSummary>();
  const seen = new Set<string>();
  for (const tensor of expected) {
    const { format, names } = findStored(tensor, manifest);
    names.forEach((name) => seen.add(name));
    const before = formats.get(format) ?? { format, tensors: 0, parameters: 0, bytes: 0 };
    formats.set(format, {
      format,
      tensors: before.tensors + 1,
      parameters: before.parameters + product(tensor.shape),
      bytes: before.bytes + names.reduce((total, name) => total + manifest.tensors.get(name)!.byteLength, 0),
    });
  }
  const unknown = [...manifest.tensors.keys()].find((name) => !seen.has(name));
  if (unknown !== undefined) {
    throw new AutoglmError('tensor-unknown', `The config leaves no place for the tensor "${unknown}".`, {
      value: unknown,
      cure: 'Convert the model again with "autoglm convert".',
    });
  }
  return [...formats.values()].toSorted((a, b) => b.bytes - a.bytes);
}

/** The format that a tensor is stored in, and the names of its arrays. */
function findStored(
  tensor: ExpectedTensor,
  manifest: Manifest,
): { format: FormatSummary['format']; names: readonly string[] } {
  const plain = manifest.tensors.get(tensor.name);
  if (plain !== undefined) {
    checkShape(tensor, plain.shape, tensor.shape);
    return { format: plain.dtype === 'float32' ? 'f32' : 'f16', names: [tensor.name] };
  }
  const base = tensor.name.replace(/\.weight$/, '');
  const words = manifest.tensors.get(`${base}.q_weight`);
  if (words === undefined || !manifest.tensors.has(`${base}.q_scale`)) {
    throw new AutoglmError('tensor-missing', `The model folder lacks the tensor "${tensor.name}".`, {
      value: tensor.name,
      cure: 'Convert the model again with "autoglm convert".',
    });
  }
  const [N, K] = tensor.shape as [number, number];
  const format = words.shape[1] === K / VALUES_PER_WORD.q8 ? 'q8' : 'q4';
  checkShape(tensor, words.shape, [N, K / VALUES_PER_WORD[format]]);
  return { format, names: [`${base}.q_weight`, `${base}.q_scale`] };
}

function checkShape(tensor: ExpectedTensor, shape: readonly number[], expected: readonly number[]): void {
  if (shape.join() === expected.join()) return;
  throw new AutoglmError(
    'tensor-shape',
    `Tensor "${tensor.name}" is stored as [${shape}], not [${expected}].`,
    {
      value: shape,
      limit: expected,
      cure: 'Convert the model again with "autoglm convert".',
    },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AutoglmError('config-invalid', 'Cannot read config.json: it is not JSON.', { cause });
  }
}
