import { isAutoglmError } from '../base/errors.ts';
import { ASSUMED_GPU } from './assumed-gpu.ts';
import { parseModelConfig } from './config.ts';
import { fitModel, type FitRequest, type FitSettings, type ModelShape } from './model-fit.ts';
import { storedArrays, weightFormat, type Quantization } from './quantization.ts';
import { createSyntheticConfig } from './synthetic.ts';
import { expectedTensors } from './tensor-names.ts';

/** Memory of common cards, in GiB: what is sold as GB. */
export const CARDS = [8, 12, 16, 24, 80] as const;

/** Contexts of the table: a few screens, the default, a long task and all that the model was trained for. */
export const CONTEXTS = [4096, 8192, 25480, 65536] as const;

/** Left to the desktop, the browser and the driver; on a computer that does more, it is more. */
export const RESERVED_BYTES = 0.75 * 2 ** 30;

/** Patches of a 1080x2400 screenshot at the model's own limit of pixels. */
const SCREENSHOT_PATCHES = 168 * 74;

/** Whether a card holds the model at a context, and how. */
export type FitCell =
  | { readonly kind: 'fits'; readonly settings: FitSettings }
  /** Not at this context, but at a smaller one. */
  | { readonly kind: 'smaller'; readonly settings: FitSettings }
  | { readonly kind: 'none'; readonly neededBytes: number };

/** AutoGLM-Phone-9B as `autoglm convert` stores it, on a discrete GPU as Chrome reports it. */
export function describe9B(quantization: Quantization = 'q4f16_1'): ModelShape {
  const config = parseModelConfig(createSyntheticConfig());
  const arrays = expectedTensors(config).flatMap((tensor) =>
    storedArrays(tensor, weightFormat(tensor, quantization)),
  );
  return {
    config,
    tensors: new Map(arrays.map((array) => [array.name, array])),
    capabilities: ASSUMED_GPU,
  };
}

/** What of the model's wishes a card of so many GiB grants at a context. */
export function fitCard(shape: ModelShape, cardGib: number, context: number): FitCell {
  const request: FitRequest = {
    context,
    patchCount: SCREENSHOT_PATCHES,
    budgetBytes: cardGib * 2 ** 30 - RESERVED_BYTES,
  };
  try {
    return { kind: 'fits', settings: fitModel(shape, { ...request, smallestContext: context }) };
  } catch (fault) {
    if (!isAutoglmError(fault, 'model-too-large')) throw fault;
  }
  try {
    // Everything that can be given up is, so that the context is the largest.
    const least: FitRequest = { ...request, smallestContext: 256, visionFormat: 'q4', cacheFormat: 'q8' };
    return { kind: 'smaller', settings: fitModel(shape, least) };
  } catch (fault) {
    if (!isAutoglmError(fault, 'model-too-large')) throw fault;
    return { kind: 'none', neededBytes: Number(fault.value) };
  }
}

/** A cell in words, such as `9.8 GB` or `4-bit vision: 8.5 GB`. */
export function describeCell(cell: FitCell): string {
  if (cell.kind === 'none') return `no: needs ${toGigabytes(cell.neededBytes)}`;
  const { context, steps, memory } = cell.settings;
  if (cell.kind === 'smaller')
    return `no: about ${(Math.floor(context / 1000) * 1000).toLocaleString('en')} at most`;
  const given = steps.map(({ kind }) => (kind === 'vision' ? '4-bit vision' : '8-bit KV cache'));
  return `${given.length > 0 ? `${given.join(', ')}: ` : ''}${toGigabytes(memory.totalBytes)}`;
}

/** The table of all cards and contexts in Markdown, as the README has it. */
export function renderFitTable(shape: ModelShape = describe9B()): string {
  const rows = CARDS.map((card) => [
    `${card} GB`,
    ...CONTEXTS.map((context) => describeCell(fitCard(shape, card, context))),
  ]);
  const head = ['card', ...CONTEXTS.map((context) => `${context.toLocaleString('en')} tokens`)];
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return lines.join('\n');
}

function toGigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
