import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readPlaywrightReport, readVitestReport } from './reports.mjs';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'autoglm-reports-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** @param {unknown} report @returns {string} its path. */
function write(report) {
  const path = join(folder, 'report.json');
  writeFileSync(path, typeof report === 'string' ? report : JSON.stringify(report));
  return path;
}

describe('readVitestReport', () => {
  it('counts passed, failed and skipped tests', () => {
    const assertionResults = ['passed', 'passed', 'failed', 'skipped', 'todo'].map((status) => ({
      status,
      fullName: ` ${status} one`,
    }));
    const path = write({ testResults: [{ status: 'failed', assertionResults }] });
    expect(readVitestReport(path)).toEqual({ passed: 2, failed: 1, skipped: ['skipped one', 'todo one'] });
  });

  it('counts a file that does not load as one failure', () => {
    const path = write({ testResults: [{ status: 'failed', assertionResults: [] }] });
    expect(readVitestReport(path)).toEqual({ passed: 0, failed: 1, skipped: [] });
  });
});

describe('readPlaywrightReport', () => {
  it('counts the tests of all nested suites, a flaky one as failed', () => {
    const spec = (/** @type {string} */ status) => ({
      title: `${status} one`,
      tests: [{ status, projectName: 'software' }],
    });
    const path = write({
      errors: [],
      suites: [
        { specs: [spec('expected')], suites: [{ specs: [spec('unexpected'), spec('flaky')] }] },
        { specs: [spec('expected'), spec('skipped')] },
      ],
    });
    expect(readPlaywrightReport(path)).toEqual({
      passed: 2,
      failed: 2,
      skipped: ['[software] skipped one'],
    });
  });

  it('counts an error outside every test', () => {
    expect(readPlaywrightReport(write({ errors: [{ message: 'port in use' }], suites: [] })).failed).toBe(1);
  });
});

describe.each([
  ['Vitest', readVitestReport],
  ['Playwright', readPlaywrightReport],
])('a report of %s that is not there', (_, read) => {
  it('counts as one failure, whole or half missing', () => {
    expect(read(join(folder, 'none.json'))).toEqual({ passed: 0, failed: 1, skipped: [] });
    expect(read(write('{"suites": ['))).toEqual({ passed: 0, failed: 1, skipped: [] });
  });
});
