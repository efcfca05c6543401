/**
 * The one command that checks the whole project: `npm test`. It installs what is missing (packages, a browser, an
 * X server), runs every group even when an earlier one fails, and ends with a table and one line of counts.
 *
 *     node .ci/test.mjs                     all groups
 *     node .ci/test.mjs unit gpu            these groups
 *     node .ci/test.mjs unit src/base       one group; what follows goes to its runner
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from './command.mjs';
import { GROUPS } from './groups.mjs';
import { ROOT, ensureInstalled } from './install.mjs';
import { isMain } from './is-main.mjs';

/**
 * @typedef {import('./groups.mjs').Group} Group
 *
 * @typedef {object} Result
 * @property {string} name
 * @property {boolean} succeeded
 * @property {number} seconds
 * @property {string | undefined} [note] why it failed, where its own output does not say so.
 * @property {import('./reports.mjs').Counts | undefined} [counts]
 */

/** @param {string[]} args @returns {{ groups: Group[], rest: string[] }} */
export function selectGroups(args) {
  const firstOther = args.findIndex((arg) => !GROUPS.some(({ name }) => name === arg));
  const names = firstOther < 0 ? args : args.slice(0, firstOther);
  const rest = firstOther < 0 ? [] : args.slice(firstOther);
  if (rest.length > 0 && names.length !== 1) {
    throw new Error(
      `"${rest[0]}" is no group: name groups among ${GROUPS.map(({ name }) => name).join(', ')}, ` +
        'or one group and then what its runner is to get.',
    );
  }
  return {
    groups: names.length === 0 ? GROUPS : GROUPS.filter(({ name }) => names.includes(name)),
    rest,
  };
}

/**
 * @param {Group} group
 * @param {boolean} exitedWell
 * @param {import('./reports.mjs').Counts | undefined} counts
 * @returns {string | undefined} why the group failed, undefined when it passed.
 */
export function findFailure(group, exitedWell, counts) {
  if (!exitedWell) return 'see its output';
  if (!counts) return undefined;
  if (counts.failed > 0) return `${counts.failed} tests failed`;
  if (counts.skipped.length > 0 && !group.maySkip) return `skipped: ${counts.skipped.join('; ')}`;
  if (counts.passed === 0) return 'no test ran';
  return undefined;
}

/** @param {string[]} args @returns {Promise<boolean>} whether every group passed. */
async function runAll(args) {
  const { groups, rest } = selectGroups(args);
  const reports = mkdtempSync(join(tmpdir(), 'autoglm-test-'));
  const needs = new Needs();
  /** @type {Result[]} */
  const results = [];
  try {
    results.push(await time('install', async () => ensureInstalled(ROOT)));
    if (results[0]?.succeeded) {
      for (const group of groups) {
        console.log(`\n=== ${group.name}`);
        results.push(await runGroup(group, { reports, rest, needs }));
      }
    }
  } finally {
    needs.close();
    rmSync(reports, { recursive: true, force: true });
  }
  printSummary(results);
  return results.every(({ succeeded }) => succeeded);
}

/**
 * @param {Group} group
 * @param {{ reports: string, rest: string[], needs: Needs }} run
 * @returns {Promise<Result>}
 */
function runGroup(group, { reports, rest, needs }) {
  return time(group.name, async () => {
    const reportPath = join(reports, `${group.name.replace(':', '-')}.json`);
    const exitedWell = await runCommand([process.execPath, ...group.command({ reportPath, args: rest })], {
      cwd: ROOT,
      env: {
        ...(group.needsAdapter ? await needs.getAdapterEnv() : {}),
        ...(group.needsBrowser ? await needs.getBrowserEnv() : {}),
        PLAYWRIGHT_JSON_OUTPUT_FILE: reportPath,
      },
      timeoutMs: group.timeoutSeconds * 1000,
    });
    const counts = group.readReport?.(reportPath);
    return { counts, note: findFailure(group, exitedWell, counts) };
  });
}

/**
 * @param {string} name
 * @param {() => Promise<Pick<Result, 'counts' | 'note'> | void>} work
 * @returns {Promise<Result>}
 */
async function time(name, work) {
  const start = performance.now();
  const { counts, note } = (await work().catch(toFailure)) ?? {};
  return {
    name,
    succeeded: note === undefined,
    seconds: (performance.now() - start) / 1000,
    note,
    counts,
  };
}

/** @param {unknown} error */
function toFailure(error) {
  const note = error instanceof Error ? error.message : String(error);
  console.error(note);
  // What could not even be prepared counts as one failed test, so that the closing line never looks clean.
  return { counts: { passed: 0, failed: 1, skipped: [] }, note };
}

/** What some groups need of the machine. Each is looked for, or installed, when the first group asks for it. */
class Needs {
  /** @type {Promise<string> | undefined} */
  #browser;
  /** @type {Promise<NodeJS.ProcessEnv> | undefined} */
  #adapterEnv;
  /** @type {import('./display.mjs').Display | undefined} */
  #display;

  /** @returns {Promise<NodeJS.ProcessEnv>} */
  getAdapterEnv() {
    this.#adapterEnv ??= this.#findAdapterEnv();
    return this.#adapterEnv;
  }

  /** @returns {Promise<NodeJS.ProcessEnv>} */
  async getBrowserEnv() {
    const browser = await this.#getBrowser();
    const { openDisplay } = await import('./display.mjs');
    this.#display ??= await openDisplay();
    return {
      ...this.#display.env,
      AUTOGLM_CHROME: browser,
      AUTOGLM_E2E_PORT: String(await findFreePort()),
    };
  }

  close() {
    this.#display?.close();
  }

  /** @returns {Promise<string>} */
  #getBrowser() {
    this.#browser ??= import('./browser.mjs').then(({ ensureBrowser }) => ensureBrowser());
    return this.#browser;
  }

  async #findAdapterEnv() {
    const { findNodeAdapter } = await import('./adapter.mjs');
    const { env, adapter } = findNodeAdapter(await this.#getBrowser());
    console.log(`WebGPU in Node: ${adapter.vendor} ${adapter.architecture} (${adapter.description})`);
    return env;
  }
}

/** @returns {Promise<number>} */
function findFreePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = address && typeof address === 'object' ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** @param {Result[]} results */
function printSummary(results) {
  console.log(
    `\n${'group'.padEnd(12)}${'seconds'.padStart(9)}${'passed'.padStart(9)}${'failed'.padStart(9)}`,
  );
  for (const { name, succeeded, seconds, counts, note } of results) {
    const columns = [seconds.toFixed(1), counts?.passed ?? '', counts?.failed ?? ''];
    const row = name.padEnd(12) + columns.map((column) => String(column).padStart(9)).join('');
    console.log(`${row}  ${succeeded ? 'ok' : `FAILED: ${note}`}`);
  }
  const total = results.reduce((sum, { seconds }) => sum + seconds, 0);
  console.log(`${'all'.padEnd(12)}${total.toFixed(1).padStart(9)}`);
  for (const { name, counts } of results) {
    for (const test of counts?.skipped ?? []) console.log(`skipped in ${name}: ${test}`);
  }
  const passed = results.reduce((sum, { counts }) => sum + (counts?.passed ?? 0), 0);
  // A group that failed without a failed test, such as the lint, counts as one: the last line must not look clean.
  const failed = results.reduce((sum, one) => sum + (one.succeeded ? 0 : one.counts?.failed || 1), 0);
  console.log(`\n${passed} passed, ${failed} failed`);
}

if (isMain(import.meta.url)) {
  try {
    process.exitCode = (await runAll(process.argv.slice(2))) ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  }
}
