/** `autoglm eval` on the embedded model, with the cases that `src/engine` keeps. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTemporaryFolder, type TemporaryFolder } from './reference-folder.test-support.ts';
import { runCommand } from './run-program.test-support.ts';

const TINY = fileURLToPath(new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url));
const CASES = fileURLToPath(new URL('../engine/eval-cases/cases.jsonl', import.meta.url));

let temporary: TemporaryFolder;
beforeAll(async () => {
  temporary = await createTemporaryFolder();
});
afterAll(() => temporary[Symbol.asyncDispose]());

describe('eval', () => {
  it('judges a tap and a chat, in JSON of the fixed shape', async () => {
    const { exitCode, stdout, stderr } = await runCommand(
      'eval',
      TINY,
      '--cases',
      CASES,
      ...'--only c131,c190 --context 1024 --dawn-toggle disable_workgroup_init --json'.split(' '),
    );
    expect(exitCode, stderr).toBe(0);
    const lines = (await readFile(CASES, 'utf8')).split('\n');
    const arrow = JSON.parse(lines.find((line) => line.includes('"c131"')) as string) as {
      reference_q4: { text: string };
    };
    expect(JSON.parse(stdout)).toEqual({
      cases: 2,
      actionAccuracy: 1,
      tapAccuracy: 1,
      exact: expect.any(Number),
      sameAsReference: 1,
      byKind: {
        arrow: { cases: 1, actionAccuracy: 1, tapAccuracy: 1, exact: expect.any(Number) },
        'text:chat': { cases: 1, actionAccuracy: 1, tapAccuracy: null, exact: expect.any(Number) },
      },
      rows: [
        {
          id: 'c131',
          text: arrow.reference_q4.text.replace(/<\/answer>$/, ''),
          actionOk: true,
          tapInBox: true,
          exact: expect.any(Boolean),
        },
        { id: 'c190', text: expect.any(String), actionOk: true, tapInBox: null, exact: expect.any(Boolean) },
      ],
    });
    expect(stderr).toContain('2 of 2 cases');
  });

  it('prints a table without --json', async () => {
    const path = join(temporary.path, 'chat.jsonl');
    const lines = (await readFile(CASES, 'utf8')).split('\n').filter((line) => line.includes('text:chat'));
    await writeFile(path, lines.join('\n'));
    const { exitCode, stdout } = await runCommand(
      'eval',
      TINY,
      '--cases',
      path,
      ...'--limit 1 --context 128 --dawn-toggle disable_workgroup_init'.split(' '),
    );
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^1 cases: action 100\.0%, tap -, /);
    expect(stdout).toMatch(/\n {2}text:chat +1 +100\.0%\n$/);
  });

  it.each([
    ['no cases', []],
    ['a case that is not in the file', ['--cases', CASES, '--only', 'c131,c999']],
    ['a limit in words', ['--cases', CASES, '--limit', 'few']],
  ])('exits with 2 for %s', async (_, args) => {
    const { exitCode, stdout, stderr } = await runCommand('eval', TINY, ...args);
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).not.toBe('');
  });

  it('exits with 1 for a file that is not there, or that holds no cases', async () => {
    const missing = await runCommand('eval', TINY, '--cases', '/nowhere.jsonl', '--json');
    expect(missing.exitCode).toBe(1);
    expect(JSON.parse(missing.stdout)).toMatchObject({
      error: { code: 'file-missing', value: '/nowhere.jsonl' },
    });
    const path = join(temporary.path, 'broken.jsonl');
    await writeFile(path, '{"id": "a"}\n');
    const broken = await runCommand('eval', TINY, '--cases', path, '--json');
    expect(broken.exitCode).toBe(1);
    expect(JSON.parse(broken.stdout)).toMatchObject({ error: { code: 'request-invalid' } });
  });

  it('exits with 1 for a case whose picture is not there', async () => {
    const path = join(temporary.path, 'moved.jsonl');
    const line = (await readFile(CASES, 'utf8')).split('\n').find((one) => one.includes('"c131"')) as string;
    await writeFile(path, line);
    const { exitCode, stdout } = await runCommand(
      'eval',
      TINY,
      '--cases',
      path,
      '--context',
      '128',
      '--json',
    );
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'file-missing', value: join(temporary.path, 'images/131.png') },
    });
  });
});
