import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeReferenceCheckpoint } from '../model/goldens/reference-model.test-support.ts';
import { createTemporaryFolder, type TemporaryFolder } from './reference-folder.test-support.ts';
import { runCommand as run } from './run-program.test-support.ts';

const TINY = fileURLToPath(new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url));

let temporary: TemporaryFolder;
let checkpoint: string;

beforeAll(async () => {
  temporary = await createTemporaryFolder();
  checkpoint = join(temporary.path, 'glm4v-a');
  await writeReferenceCheckpoint('glm4v-a', checkpoint);
});
afterAll(() => temporary[Symbol.asyncDispose]());

describe('autoglm', () => {
  it('converts, with one JSON object on stdout and progress on stderr', async () => {
    const target = join(temporary.path, 'json');
    const { exitCode, stdout, stderr } = await run(
      'convert',
      checkpoint,
      target,
      '--quant',
      'q8f16_1',
      '--json',
    );
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ target, quantization: 'q8f16_1', tensors: 56 });
    expect(stderr).toContain('%');
    const { stdout: inspected } = await run('inspect', target, '--json');
    const formats = (JSON.parse(inspected) as { formats: { format: string }[] }).formats;
    expect(formats.map(({ format }) => format).toSorted()).toEqual(['f16', 'q8']);
  });

  it('inspects the embedded model', async () => {
    const { exitCode, stdout } = await run('inspect', TINY, '--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      quantization: 'q4f16_1',
      parameters: 7606080,
      bytes: 7628416,
      hashed: true,
      text: { C: 256, L: 6, V: 2048 },
    });
    expect((await run('inspect', TINY)).stdout).toMatch(/q4 +38 tensors/);
  });

  it('tokenizes a text and a conversation', async () => {
    const text = await run('tokenize', TINY, '--text', '<|user|>Open Maps', '--json');
    expect(JSON.parse(text.stdout)).toEqual({ tokenIds: [2027, 529, 954] });
    const messages = join(temporary.path, 'messages.json');
    await writeFile(messages, JSON.stringify([{ role: 'user', content: 'Open Maps' }]));
    const chat = await run('tokenize', TINY, '--messages', messages, '--json');
    const { tokenIds } = JSON.parse(chat.stdout) as { tokenIds: number[] };
    expect(tokenIds.join()).toContain([529, 954].join());
    expect((await run('tokenize', TINY, '--text', 'Open')).stdout).toBe('   529  "Open"\n');
  });

  it.each([
    ['no command', []],
    ['an unknown command', ['dance']],
    ['an unknown option', ['convert', 'a', 'b', '--fast']],
    ['a missing argument', ['convert', 'a']],
    ['an unknown format', ['convert', 'a', 'b', '--quant', 'q5']],
    ['threads that are no number', ['convert', 'a', 'b', '--threads', '-1']],
    ['neither text nor messages', ['tokenize', TINY]],
    ['both text and messages', ['tokenize', TINY, '--text', 'a', '--messages', 'b']],
  ])('exits with 2 for %s', async (_, args) => {
    const { exitCode, stderr, stdout } = await run(...args);
    expect(exitCode).toBe(2);
    expect(stderr).not.toBe('');
    expect(stdout).toBe('');
  });

  it('exits with 0 for --help', async () => {
    const { exitCode, stdout } = await run('--help');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('convert');
  });

  it('exits with 1 for a fault, with its code, value and cure in JSON', async () => {
    const { exitCode, stdout, stderr } = await run(
      'convert',
      '/nowhere',
      join(temporary.path, 'x'),
      '--json',
    );
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'file-missing', value: '/nowhere/config.json' },
    });
    expect(stderr).toContain('Give the folder of a Hugging Face checkpoint.');
  });

  it.each([
    ['a manifest of another model', 'tensor-missing', async () => JSON.stringify({ records: [] })],
    [
      'a manifest whose tensor has another shape',
      'tensor-shape',
      async () =>
        (await readFile(join(TINY, 'tensor-cache.json'), 'utf8')).replace(/2048,\s+32\n/, '1024,\n64\n'),
    ],
    ['no manifest', 'file-missing', async () => undefined],
  ])('inspect reports %s', async (name, code, createManifest) => {
    const folder = join(temporary.path, name.replaceAll(' ', '-'));
    await mkdir(folder);
    await writeFile(join(folder, 'config.json'), await readFile(join(TINY, 'config.json')));
    const manifest = await createManifest();
    if (manifest !== undefined) await writeFile(join(folder, 'tensor-cache.json'), manifest);
    const { exitCode, stdout } = await run('inspect', folder, '--json');
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code } });
  });
});
