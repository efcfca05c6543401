/** `autoglm generate` on the embedded model and on a reference model without a tokenizer. */
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { referenceFolder } from '../model/goldens/reference-model.test-support.ts';
import { readGoldens } from '../model/golden-model.test-support.ts';
import type { SafetensorsFile } from '../storage/safetensors.ts';
import { buildCli, type BuiltCli } from './built-cli.test-support.ts';
import {
  convertReferenceModel,
  createTemporaryFolder,
  type TemporaryFolder,
} from './reference-folder.test-support.ts';
import { runCommand } from './run-program.test-support.ts';

const TINY = fileURLToPath(new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url));
const V = 1000;
/** Compiles in half the time on a software adapter, and needs little memory. */
const QUICK = words('--dawn-toggle disable_workgroup_init --context 128');

interface Ranked {
  readonly tokenId: number;
  readonly logprob: number;
}

/** What `generate --json` prints. */
interface Generated {
  readonly text: string;
  readonly tokenIds: number[];
  readonly finishReason: string;
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number };
  readonly logprobs?: readonly (Ranked & { readonly top: readonly Ranked[] })[];
  readonly promptLogprobs?: readonly (readonly Ranked[])[];
  readonly timings: Readonly<Record<string, number>>;
}

let temporary: TemporaryFolder;
beforeAll(async () => {
  temporary = await createTemporaryFolder();
});
afterAll(() => temporary[Symbol.asyncDispose]());

async function generate(...args: readonly string[]): Promise<Generated> {
  const { exitCode, stdout, stderr } = await runCommand('generate', ...args, ...QUICK, '--json');
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout) as Generated;
}

/** Arguments without spaces in them. */
function words(line: string): string[] {
  return line.split(' ');
}

function logSoftmax(logits: Float32Array): number[] {
  const largest = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return Array.from(logits, (logit) => logit - largest - Math.log(total));
}

describe('generate on a reference model without a tokenizer, in f32', () => {
  let folder: string;
  let goldens: SafetensorsFile;
  beforeAll(async () => {
    folder = join(temporary.path, 'glm4v-b');
    await convertReferenceModel('glm4v-b', folder, 'q0f32');
    goldens = await readGoldens('glm4v-b');
  });

  /** The K best of a row of golden logits, within the parity of the whole model. */
  function expectRanked(ranked: readonly Ranked[], logits: Float32Array, K: number): void {
    const expected = logSoftmax(logits);
    const best = expected.toSorted((a, b) => b - a).slice(0, K);
    const limit = 4e-4 * Math.max(...logits.map(Math.abs));
    expect(ranked).toHaveLength(K);
    ranked.forEach(({ tokenId, logprob }, rank) => {
      expect(Math.abs(logprob - expected[tokenId])).toBeLessThanOrEqual(limit);
      expect(Math.abs(logprob - best[rank])).toBeLessThanOrEqual(limit);
    });
  }

  it('continues ids as the reference does, with its log-probabilities of prompt and answer', async () => {
    const promptIds = [...goldens.int32('text.input_ids')];
    const result = await generate(
      folder,
      '--prompt-token-ids',
      promptIds.join(','),
      ...words('--max-tokens 24 --temperature 0 --ignore-eos --logprobs 3 --prompt-logprobs 2'),
    );
    expect(result.tokenIds).toEqual([...goldens.int32('text.greedy_ids')]);
    expect(result).toMatchObject({
      text: '',
      finishReason: 'length',
      usage: { promptTokens: promptIds.length, completionTokens: 24 },
    });
    const greedy = goldens.float32('text.greedy_logits');
    expect(result.logprobs).toHaveLength(24);
    result.logprobs?.forEach(({ tokenId, logprob, top }, step) => {
      expect(tokenId).toBe(result.tokenIds[step]);
      expect(top[0]).toMatchObject({ tokenId });
      expect(logprob).toBeCloseTo(top[0].logprob, 5);
      expectRanked(top, greedy.subarray(step * V, (step + 1) * V), 3);
    });
    const prompt = goldens.float32('text.logits');
    expect(result.promptLogprobs).toHaveLength(promptIds.length);
    result.promptLogprobs?.forEach((row, position) => {
      expectRanked(row, prompt.subarray(position * V, (position + 1) * V), 2);
    });
  });

  it('takes ids from a file and images beside them', async () => {
    const path = join(temporary.path, 'ids.json');
    await writeFile(path, JSON.stringify([...goldens.int32('image.input_ids')]));
    const result = await generate(
      folder,
      '--image',
      join(referenceFolder('glm4v-b'), 'image1.png'),
      ...words(`--prompt-token-ids @${path} --max-tokens 24 --temperature 0 --ignore-eos`),
    );
    expect(result.tokenIds).toEqual([...goldens.int32('image.greedy_ids')]);
    expect(result.timings['visionMs']).toBeGreaterThan(0);
  });

  it('fails for text, which it cannot read, and names the cure', async () => {
    const { exitCode, stdout, stderr } = await runCommand(
      'generate',
      folder,
      ...words('--prompt Hello --json'),
      ...QUICK,
    );
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'tokenizer-missing', value: 'tokenizer.json', cure: expect.stringContaining('ids') },
    });
    expect(stderr).toContain('autoglm: tokenizer-missing:');
  });
});

describe('generate on the embedded model', () => {
  it('prints one JSON object of the fixed shape, and nothing else on stdout', async () => {
    const result = await generate(
      TINY,
      '--system',
      'You are a phone agent.',
      ...words('--prompt Hello! --max-tokens 4 --temperature 0'),
    );
    expect(Object.keys(result).toSorted()).toEqual(['finishReason', 'text', 'timings', 'tokenIds', 'usage']);
    expect(Object.keys(result.timings)).toEqual([
      'loadMs',
      'visionMs',
      'prefillMs',
      'timeToFirstTokenMs',
      'decodeMs',
    ]);
    expect(Object.values(result.timings).every(Number.isFinite)).toBe(true);
    expect(Object.keys(result.usage)).toEqual(['promptTokens', 'completionTokens']);
    expect(result).toMatchObject({ finishReason: 'length', usage: { completionTokens: 4 } });
    expect(result.tokenIds).toHaveLength(4);
    expect(result.text).not.toBe('');
  });

  it('prints the bare text without --json, from a file of messages, the same for the same seed', async () => {
    const messages = join(temporary.path, 'messages.json');
    await writeFile(messages, JSON.stringify([{ role: 'user', content: 'Hello! What can you do?' }]));
    const args = ['--messages', messages, '--max-tokens', '12', '--temperature', '1.5', '--seed', '11'];
    const run = (): ReturnType<typeof runCommand> =>
      runCommand('generate', TINY, ...args, '--context', '128');
    const [first, second] = [await run(), await run()];
    expect(first.exitCode).toBe(0);
    expect(first.stdout).toMatch(/\S.*\n$/s);
    expect(first.stdout).not.toContain('tokenIds');
    expect(first.stderr).toContain('ready 7.63 MB');
    expect(second.stdout).toBe(first.stdout);
  });
});

describe('generate, given what cannot be done', () => {
  const missing = '/nowhere/model';

  it.each([
    ['no prompt', []],
    ['two prompts', ['--prompt', 'a', '--prompt-token-ids', '1']],
    ['ids that are no numbers', ['--prompt-token-ids', '1,x']],
    ['an empty id', ['--prompt-token-ids', '1,,2']],
    ['a system message without a prompt', ['--prompt-token-ids', '1', '--system', 'a']],
    ['images beside messages', ['--messages', 'm.json', '--image', 'a.png']],
    ['a number of tokens that is none', ['--prompt', 'a', '--max-tokens', 'many']],
    ['a device that does not exist', ['--prompt', 'a', '--device', 'abacus']],
    ['an unknown option', ['--prompt', 'a', '--quickly']],
  ])('exits with 2 for %s, before it loads anything, and says why', async (_, args) => {
    const { exitCode, stdout, stderr } = await runCommand('generate', missing, ...args);
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/\w{3}/);
    expect(stderr).not.toContain('nowhere');
  });

  it.each([
    ['a model that is not there', [missing, '--prompt', 'a'], 'file-missing'],
    ['messages that are not there', [TINY, '--messages', '/nowhere.json'], 'file-missing'],
    ['ids that are not there', [TINY, '--prompt-token-ids', '@/nowhere.json'], 'file-missing'],
    ['an image that is not there', [TINY, '--prompt', 'a', '--image', '/nowhere.png'], 'file-missing'],
    [
      'an image of ids that is not there',
      [TINY, '--prompt-token-ids', '1', '--image', '/nowhere.png'],
      'file-missing',
    ],
    ['a context that is too small', [TINY, '--prompt', 'a', '--context', '4'], 'request-invalid'],
  ])('exits with 1 for %s, with the fault in JSON', async (_, args, code) => {
    const { exitCode, stdout, stderr } = await runCommand('generate', ...args, '--json');
    expect(exitCode).toBe(1);
    const { error } = JSON.parse(stdout) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ code, cure: expect.any(String) });
    expect(stderr).toContain(`autoglm: ${code}: `);
  });
});

describe('the built command', () => {
  let cli: BuiltCli;
  beforeAll(async () => {
    cli = await buildCli('generate-test');
  });
  afterAll(() => cli[Symbol.asyncDispose]());

  /** Runs `generate` in a process of its own; `onStdout` is called with each piece. */
  async function run(args: readonly string[], onStdout?: (kill: () => void) => void) {
    await mkdir(join(temporary.path, 'cwd'), { recursive: true });
    const child = spawn(process.execPath, [cli.program, 'generate', TINY, ...args], {
      cwd: join(temporary.path, 'cwd'),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
      onStdout?.(() => child.kill('SIGINT'));
    });
    child.stderr.on('data', (data: Buffer) => void (stderr += data.toString()));
    const exitCode = await new Promise<number | null>((resolve) => void child.on('close', resolve));
    return { exitCode, stdout, stderr };
  }

  it('answers, and its process ends by itself with 0', async () => {
    const { exitCode, stdout } = await run(words('--prompt Hello! --max-tokens 2 --json'));
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ finishReason: 'length', usage: { completionTokens: 2 } });
  });

  it('stops at Ctrl-C in the middle of an answer, and exits with 1', async () => {
    let isKilled = false;
    const { exitCode, stdout, stderr } = await run(
      [...words('--prompt Hello! --ignore-eos --max-tokens 2000 --temperature 1'), ...QUICK],
      (kill) => {
        if (!isKilled) kill();
        isKilled = true;
      },
    );
    expect(exitCode).toBe(1);
    expect(stdout).not.toBe('');
    expect(stderr).toContain('Stopped.');
  });

  it('exits with 2 for bad usage', async () => {
    expect(await run([])).toMatchObject({ exitCode: 2, stdout: '' });
  });
});
