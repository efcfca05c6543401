import type { Command } from 'commander';
import { AutoglmError } from '../base/errors.ts';
import type { AnswerOptions, AnswerSummary, AnswerToken } from '../engine/answer.ts';
import type { Prompt } from '../engine/chat-prompt.ts';
import type { LocalEngine } from '../engine/local-engine.ts';
import type { ChatMessage, ContentPart } from '../engine/openai.ts';
import type { RankedToken } from '../model/ranked-token.ts';
import { readImageFile, readImageUrl } from './image-url.ts';
import { addLoadOptions, loadEngine, type LoadFlags } from './load-options.ts';
import { readJsonFile } from './json-file.ts';
import { parseCount, parseNumber } from './option-values.ts';
import type { Terminal } from './terminal.ts';

interface GenerateFlags extends LoadFlags {
  readonly prompt?: string;
  readonly messages?: string;
  readonly promptTokenIds?: string;
  readonly image?: readonly string[];
  readonly system?: string;
  readonly maxTokens?: number;
  readonly ignoreEos?: boolean;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly frequencyPenalty?: number;
  readonly logprobs?: number;
  readonly promptLogprobs?: number;
  readonly maxPixels?: number;
  readonly json?: boolean;
}

/** Adds `autoglm generate`. */
export function addGenerateCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command('generate')
    .description('Answer a prompt, a conversation, or token ids.')
    .argument('<model>', 'model folder or URL')
    .option('--prompt <text>', "the user's message")
    .option('--messages <file>', 'a JSON file of OpenAI messages')
    .option('--prompt-token-ids <ids>', 'ids as 1,2,3 or @file.json; no template is applied')
    .option('--image <file...>', 'images, before the text of --prompt')
    .option('--system <text>', 'system message, with --prompt')
    .option('--max-tokens <n>', 'most tokens to generate', parseCount)
    .option('--ignore-eos', 'generate past the end')
    .option('--temperature <t>', '0 is greedy', parseNumber)
    .option('--top-p <p>', 'share of the probability that is kept', parseNumber)
    .option('--top-k <k>', 'number of tokens that are kept', parseCount)
    .option('--min-p <p>', "least probability over the best token's", parseNumber)
    .option('--seed <n>', 'same seed, same text', parseCount)
    .option('--frequency-penalty <f>', '-2 to 2', parseNumber)
    .option('--logprobs <k>', 'log-probabilities with the k best alternatives of each token', parseCount)
    .option('--prompt-logprobs <k>', 'the k best continuations of every position of the prompt', parseCount)
    .option('--max-pixels <n>', 'greatest area of an image, both frames together', parseCount)
    .option('--json', 'print one JSON object');
  addLoadOptions(command).action(async (model: string, flags: GenerateFlags) => {
    // Before the model is loaded, which takes long: a slip in the command shows at once.
    const input = await readInput(flags);
    const startedAt = performance.now();
    const engine = await loadEngine(model, flags, terminal);
    try {
      const loadMs = performance.now() - startedAt;
      const result = await run(engine, input, flags, terminal);
      terminal.stdout(flags.json ? `${JSON.stringify(toJson(result, loadMs))}\n` : '\n');
    } finally {
      await engine.unload();
    }
  });
}

interface GenerateResult {
  readonly tokens: readonly AnswerToken[];
  readonly summary: AnswerSummary;
  readonly promptLogprobs: readonly (readonly RankedToken[])[] | undefined;
}

async function run(
  engine: LocalEngine,
  input: PromptInput,
  flags: GenerateFlags,
  terminal: Terminal,
): Promise<GenerateResult> {
  const { signal } = terminal;
  const prompt = await buildPrompt(engine, input, flags);
  const promptLogprobs =
    flags.promptLogprobs === undefined
      ? undefined
      : await engine.rankPrompt(prompt, flags.promptLogprobs, { signal });
  const answer = engine.answer(prompt, toOptions(flags), { signal });
  const tokens: AnswerToken[] = [];
  for (;;) {
    const { done, value } = await answer.next();
    if (done) return { tokens, summary: value, promptLogprobs };
    tokens.push(value);
    if (!flags.json) terminal.stdout(value.text);
  }
}

/** What the flags ask to be answered. */
type PromptInput =
  | { readonly messages: readonly ChatMessage[] }
  | { readonly tokenIds: readonly number[]; readonly images: readonly Uint8Array[] };

async function readInput(flags: GenerateFlags): Promise<PromptInput> {
  const { prompt, messages, promptTokenIds, image = [], system } = flags;
  if ([prompt, messages, promptTokenIds].filter((value) => value !== undefined).length !== 1) {
    throw new AutoglmError('usage', 'Give exactly one of --prompt, --messages and --prompt-token-ids.');
  }
  if (system !== undefined && prompt === undefined) {
    throw new AutoglmError('usage', 'Give --system only with --prompt.', { value: system });
  }
  if (messages !== undefined) {
    if (image.length > 0) throw new AutoglmError('usage', 'Give the images of --messages inside the file.');
    return { messages: (await readJsonFile(messages)) as ChatMessage[] };
  }
  if (promptTokenIds === undefined) return { messages: await composeMessages(flags, image) };
  return {
    tokenIds: await readTokenIds(promptTokenIds),
    images: await Promise.all(image.map((path) => readImageFile(path))),
  };
}

async function buildPrompt(
  { prompts }: LocalEngine,
  input: PromptInput,
  { maxPixels }: GenerateFlags,
): Promise<Prompt> {
  if ('messages' in input) return prompts.fromMessages(input.messages, { maxPixels });
  const images = [];
  for (const bytes of input.images) images.push(await prompts.prepare(bytes, { maxPixels }));
  return prompts.fromTokens(input.tokenIds, images);
}

async function composeMessages(
  { prompt = '', system }: GenerateFlags,
  images: readonly string[],
): Promise<ChatMessage[]> {
  const parts: ContentPart[] = [];
  for (const path of images) parts.push({ type: 'image_url', image_url: { url: await readImageUrl(path) } });
  return [
    ...(system === undefined ? [] : [{ role: 'system', content: system } as const]),
    { role: 'user', content: images.length > 0 ? [...parts, { type: 'text', text: prompt }] : prompt },
  ];
}

async function readTokenIds(value: string): Promise<number[]> {
  const ids: unknown = value.startsWith('@')
    ? await readJsonFile(value.slice(1))
    : value.split(',').map((id) => Number(id.trim() || NaN));
  if (Array.isArray(ids) && ids.every((id) => Number.isInteger(id))) return ids as number[];
  throw new AutoglmError(
    'usage',
    'Cannot read --prompt-token-ids: give whole numbers as 1,2,3 or @file.json.',
    {
      value,
    },
  );
}

function toOptions(flags: GenerateFlags): AnswerOptions {
  const entries = {
    max_tokens: flags.maxTokens,
    ignore_eos: flags.ignoreEos,
    temperature: flags.temperature,
    top_p: flags.topP,
    top_k: flags.topK,
    min_p: flags.minP,
    seed: flags.seed,
    frequency_penalty: flags.frequencyPenalty,
    logprobs: flags.logprobs === undefined ? undefined : true,
    top_logprobs: flags.logprobs,
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}

function toJson({ tokens, summary, promptLogprobs }: GenerateResult, loadMs: number): unknown {
  const { promptTokens, completionTokens } = summary;
  const { visionMs, prefillMs, timeToFirstTokenMs, decodeMs } = summary.timings;
  const hasLogprobs = tokens.some(({ logprob }) => logprob !== undefined);
  const toPlain = ({ id, logprob }: RankedToken): unknown => ({ tokenId: id, logprob });
  return {
    text: tokens.map(({ text }) => text).join(''),
    tokenIds: tokens.map(({ id }) => id),
    finishReason: tokens.at(-1)?.finishReason,
    usage: { promptTokens, completionTokens },
    ...(hasLogprobs && {
      logprobs: tokens.map(({ id, logprob, top = [] }) => ({ tokenId: id, logprob, top: top.map(toPlain) })),
    }),
    ...(promptLogprobs && { promptLogprobs: promptLogprobs.map((ranked) => ranked.map(toPlain)) }),
    timings: { loadMs, visionMs, prefillMs, timeToFirstTokenMs, decodeMs },
  };
}
