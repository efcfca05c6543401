/** The groups of `npm test` as data, in the order in which they run: what is quick to fail comes first. */
import { readPlaywrightReport, readVitestReport } from './reports.mjs';

/**
 * @typedef {object} Group
 * @property {string} name as given to `node .ci/test.mjs <name>`.
 * @property {(options: { reportPath: string, args: string[] }) => string[]} command a script of a package in
 *   `node_modules` or of `.ci`, and its arguments; `args` are the person's own.
 * @property {(path: string) => import('./reports.mjs').Counts} [readReport] absent where nothing is counted.
 * @property {boolean} [needsAdapter] runs with Node's WebGPU adapter in its environment.
 * @property {boolean} [needsBrowser] runs with a browser and a display in its environment.
 * @property {boolean} [maySkip] tests may be left out where the data that they read is not there. They are named.
 * @property {number} timeoutSeconds far above what it takes: it only ends what hangs.
 */

const VITEST = 'node_modules/vitest/vitest.mjs';
const VITE = 'node_modules/vite/bin/vite.js';

/** @param {string} project @returns {Group['command']} */
function vitest(project) {
  return ({ reportPath, args }) => [
    VITEST,
    'run',
    `--project=${project}`,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${reportPath}`,
    ...args,
  ];
}

/** @type {Group['command']} */
function playwright({ args }) {
  const project = args.some((arg) => arg.startsWith('--project')) ? [] : ['--project=software'];
  return ['node_modules/@playwright/test/cli.js', 'test', '-c', 'e2e', ...project, ...args];
}

/** @type {Group['command']} */
function examples({ args }) {
  return ['node_modules/@playwright/test/cli.js', 'test', '-c', 'e2e/examples', ...args];
}

/** @type {Group[]} */
export const GROUPS = [
  {
    name: 'format',
    command: () => ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.'],
    timeoutSeconds: 120,
  },
  {
    name: 'lint',
    command: () => [
      'node_modules/oxlint/bin/oxlint',
      '--deny-warnings',
      'src',
      'e2e',
      '.ci',
      'vite.config.ts',
    ],
    timeoutSeconds: 120,
  },
  { name: 'types', command: () => ['node_modules/typescript/bin/tsc', '-p', '.'], timeoutSeconds: 300 },
  {
    // The programs that are written for web-llm, against the types of the drop-in.
    name: 'types-web-llm',
    command: () => ['node_modules/typescript/bin/tsc', '-p', 'e2e/interfaces/tsconfig.drop-in.json'],
    timeoutSeconds: 300,
  },
  { name: 'imports', command: () => ['.ci/check-imports.mjs'], timeoutSeconds: 60 },
  {
    name: 'unit',
    command: vitest('unit'),
    readReport: readVitestReport,
    maySkip: true,
    timeoutSeconds: 480,
  },
  {
    name: 'gpu',
    command: vitest('gpu'),
    readReport: readVitestReport,
    needsAdapter: true,
    timeoutSeconds: 2400,
  },
  { name: 'build', command: () => [VITE, 'build', '--logLevel=warn'], timeoutSeconds: 300 },
  {
    name: 'build:node',
    command: () => [VITE, 'build', '--mode=node', '--logLevel=warn'],
    timeoutSeconds: 300,
  },
  { name: 'build:package', command: () => ['.ci/build-package.mjs'], timeoutSeconds: 300 },
  { name: 'package', command: () => ['.ci/check-package.mjs'], timeoutSeconds: 120 },
  {
    name: 'e2e',
    command: playwright,
    readReport: readPlaywrightReport,
    needsBrowser: true,
    timeoutSeconds: 2400,
  },
  {
    name: 'examples',
    command: examples,
    readReport: readPlaywrightReport,
    needsBrowser: true,
    timeoutSeconds: 900,
  },
];
