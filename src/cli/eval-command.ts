import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import {
  parseEvalCases,
  scoreAnswer,
  summarizeEval,
  type EvalCase,
  type EvalRow,
  type EvalSummary,
} from '../agent/eval.ts';
import { AutoglmError } from '../base/errors.ts';
import type { LocalEngine } from '../engine/local-engine.ts';
import type { ChatMessage } from '../engine/openai.ts';
import { inspectImage } from '../image/decode-image.ts';
import { readImageUrl } from './image-url.ts';
import { addLoadOptions, loadEngine, type LoadFlags } from './load-options.ts';
import { parseCount } from './option-values.ts';
import { ProgressLine, type Terminal } from './terminal.ts';

interface EvalFlags extends LoadFlags {
  readonly cases: string;
  readonly limit?: number;
  readonly only?: string;
  readonly json?: boolean;
}

/** Longest answer of a case; the reference stops by itself long before. */
const MAX_ANSWER_TOKENS = 128;

/** Adds `autoglm eval`. */
export function addEvalCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command('eval')
    .description('Measure how often the agent acts rightly.')
    .argument('<model>', 'model folder or URL')
    .requiredOption('--cases <file>', 'cases.jsonl')
    .option('--limit <n>', 'take the first n cases', parseCount)
    .option('--only <ids>', 'take the cases of these ids, comma-separated')
    .option('--json', 'print one JSON object');
  addLoadOptions(command).action(async (model: string, flags: EvalFlags) => {
    const cases = await readCases(flags);
    const engine = await loadEngine(model, flags, terminal);
    try {
      const summary = await evaluate(engine, cases, dirname(flags.cases), terminal);
      terminal.stdout(flags.json ? `${JSON.stringify(summary)}\n` : describe(summary));
    } finally {
      await engine.unload();
    }
  });
}

/** Answers every case greedily and judges the answers. */
export async function evaluate(
  engine: LocalEngine,
  cases: readonly EvalCase[],
  folder: string,
  terminal: Terminal,
): Promise<EvalSummary> {
  const line = new ProgressLine(terminal);
  const rows: EvalRow[] = [];
  for (const one of cases) {
    rows.push(await runCase(engine, one, folder, terminal.signal));
    line.update(`${rows.length} of ${cases.length} cases`);
  }
  line.end();
  return summarizeEval(cases, rows);
}

async function runCase(
  engine: LocalEngine,
  { id, image, messages, expected }: EvalCase,
  folder: string,
  signal: AbortSignal,
): Promise<EvalRow> {
  const prompt = await engine.prompts.fromMessages(await resolveImages(messages, folder), { signal });
  let text = '';
  for await (const token of engine.answer(
    prompt,
    { temperature: 0, max_tokens: MAX_ANSWER_TOKENS },
    { signal },
  )) {
    text += token.text;
  }
  const size = image === null ? null : inspectImage(await readFile(join(folder, image)));
  return { id, text, ...scoreAnswer(expected, text, size) };
}

/** Replaces the cases' image paths, relative to their file, by data URLs. */
async function resolveImages(messages: readonly unknown[], folder: string): Promise<ChatMessage[]> {
  return Promise.all(
    (messages as ChatMessage[]).map(async (message) => {
      if (typeof message.content === 'string') return message;
      const parts = message.content as readonly { type: string; image?: string }[];
      const content = await Promise.all(
        parts.map(async (part) =>
          part.type === 'image' && part.image !== undefined
            ? { type: 'image_url', image_url: { url: await readImageUrl(join(folder, part.image)) } }
            : part,
        ),
      );
      return { ...message, content } as ChatMessage;
    }),
  );
}

async function readCases({ cases: path, limit, only }: EvalFlags): Promise<EvalCase[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new AutoglmError('file-missing', `Cannot read ${path}.`, {
      value: path,
      cure: 'Check the path.',
      cause,
    });
  }
  const wanted = only?.split(',').map((id) => id.trim());
  const cases = parseEvalCases(text).filter(({ id }) => !wanted || wanted.includes(id));
  const unknown = wanted?.find((id) => !cases.some((one) => one.id === id));
  if (unknown !== undefined)
    throw new AutoglmError('usage', `${path} has no case "${unknown}".`, { value: unknown });
  return cases.slice(0, limit);
}

function describe({
  cases,
  actionAccuracy,
  tapAccuracy,
  exact,
  sameAsReference,
  byKind,
}: EvalSummary): string {
  const percent = (value: number | null): string => (value === null ? '-' : `${(value * 100).toFixed(1)}%`);
  const kinds = Object.entries(byKind).map(
    ([kind, total]) =>
      `  ${kind.padEnd(24)} ${String(total.cases).padStart(4)}  ${percent(total.actionAccuracy)}\n`,
  );
  return [
    `${cases} cases: action ${percent(actionAccuracy)}, tap ${percent(tapAccuracy)}, `,
    `exact ${percent(exact)}, same as the reference ${percent(sameAsReference)}\n`,
    ...kinds,
  ].join('');
}
