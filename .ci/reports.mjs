/** Reads the JSON reports of Vitest and Playwright into one kind of count. */
import { existsSync, readFileSync } from 'node:fs';

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {string[]} skipped the names of tests that were not run.
 */

/**
 * @param {string} path
 * @returns {Counts} one failure when there is no report: the runner died before it could count.
 */
export function readVitestReport(path) {
  const report = readReport(path);
  if (!report) return crashed();
  /** @type {{ name: string, status: string, assertionResults: { fullName: string, status: string }[] }[]} */
  const files = report.testResults ?? [];
  const tests = files.flatMap((file) => file.assertionResults);
  // A file that does not load has failed without a single test of it having run.
  const broken = files.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    failed: tests.filter(({ status }) => status === 'failed').length + broken.length,
    skipped: tests
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map(({ fullName }) => fullName.trim()),
  };
}

/**
 * @typedef {object} PlaywrightSuite
 * @property {string} title
 * @property {PlaywrightSuite[]} [suites]
 * @property {{ title: string, tests: { status: string, projectName: string }[] }[]} [specs]
 *
 * @param {string} path
 * @returns {Counts} one failure when there is no report.
 */
export function readPlaywrightReport(path) {
  const report = readReport(path);
  if (!report) return crashed();
  const tests = flattenSuites(report.suites ?? []);
  return {
    passed: tests.filter(({ status }) => status === 'expected').length,
    // A test that passed only when it was tried again has failed once.
    failed:
      tests.filter(({ status }) => status === 'unexpected' || status === 'flaky').length +
      (report.errors ?? []).length,
    skipped: tests.filter(({ status }) => status === 'skipped').map(({ name }) => name),
  };
}

/** @param {PlaywrightSuite[]} suites @returns {{ name: string, status: string }[]} */
function flattenSuites(suites) {
  return suites.flatMap(({ specs = [], suites: inner = [] }) => [
    ...specs.flatMap(({ title, tests }) =>
      tests.map(({ status, projectName }) => ({ name: `[${projectName}] ${title}`, status })),
    ),
    ...flattenSuites(inner),
  ]);
}

/** @param {string} path */
function readReport(path) {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // A runner that was stopped in the middle leaves half a file.
    return undefined;
  }
}

/** @returns {Counts} */
function crashed() {
  return { passed: 0, failed: 1, skipped: [] };
}
