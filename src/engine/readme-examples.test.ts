/** The examples of the interfaces' pages fit the types; `e2e/interfaces` runs those that can run. */
import { resolve } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { readExamples } from './readme-examples.test-support.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const ENTRIES = {
  engine: 'index',
  'web-llm': 'web-llm/index',
  'ai-sdk': 'ai-sdk/index',
  'prompt-api': 'prompt-api/index',
};

it('type-check, with the entries that they import', { timeout: 120_000 }, () => {
  const examples = readExamples();
  expect(examples.length).toBeGreaterThan(4);
  expect(examples.filter(({ runs }) => runs).length).toBeGreaterThan(4);
  const { config } = ts.readConfigFile(resolve(ROOT, 'tsconfig.json'), ts.sys.readFile.bind(ts.sys)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const paths = Object.fromEntries(
    Object.entries(ENTRIES).map(([entry, file]) => [
      `autoglm-web/${entry}`,
      [`${ROOT}/src/engine/${file}.ts`],
    ]),
  );
  const texts = new Map(examples.map(({ name, code }) => [`${ROOT}/e2e/example-${name}.ts`, code]));
  // Readers of JavaScript do not write annotations.
  const host = ts.createCompilerHost({ ...options, noUnusedLocals: false });
  const readFile = host.getSourceFile.bind(host);
  host.fileExists = (path) => texts.has(path) || ts.sys.fileExists(path);
  host.getSourceFile = (path, ...rest) => {
    const text = texts.get(path);
    return text === undefined
      ? readFile(path, ...rest)
      : ts.createSourceFile(path, text, ts.ScriptTarget.ES2023);
  };
  const program = ts.createProgram([...texts.keys()], { ...options, paths, noUnusedLocals: false }, host);
  const faults = [...texts.keys()].flatMap((path) => {
    const file = program.getSourceFile(path);
    return program.getSemanticDiagnostics(file).map(({ messageText, start = 0 }) => {
      const line = file?.getLineAndCharacterOfPosition(start).line ?? 0;
      return `${path}:${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
  expect(faults).toEqual([]);
});
