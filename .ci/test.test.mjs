import { describe, expect, it } from 'vitest';
import { runCommand } from './command.mjs';
import { GROUPS } from './groups.mjs';
import { ROOT } from './install.mjs';
import { findFailure, selectGroups } from './test.mjs';

describe('selectGroups', () => {
  it('takes all groups when none is named', () => {
    expect(selectGroups([])).toEqual({ groups: GROUPS, rest: [] });
  });

  it('keeps the order of the list', () => {
    expect(selectGroups(['gpu', 'lint']).groups.map(({ name }) => name)).toEqual(['lint', 'gpu']);
  });

  it('hands what follows one group to its runner', () => {
    const { groups, rest } = selectGroups(['e2e', '--project', 'gpu']);
    expect(groups.map(({ name }) => name)).toEqual(['e2e']);
    expect(rest).toEqual(['--project', 'gpu']);
    expect(groups[0]?.command({ reportPath: 'r', args: rest })).not.toContain('--project=software');
  });

  it('refuses an unknown group', () => {
    expect(() => selectGroups(['units'])).toThrow('"units" is no group');
    expect(() => selectGroups(['unit', 'gpu', 'src/base'])).toThrow('"src/base" is no group');
  });
});

describe('findFailure', () => {
  const strict = { name: 'gpu', command: () => [], timeoutSeconds: 1 };
  const counts = { passed: 3, failed: 0, skipped: /** @type {string[]} */ ([]) };

  it('passes a group whose tests all passed', () => {
    expect(findFailure(strict, true, counts)).toBeUndefined();
    expect(findFailure(strict, true, undefined)).toBeUndefined();
  });

  it('fails a group that ran no test, skipped one, failed one or ended badly', () => {
    expect(findFailure(strict, true, { ...counts, passed: 0 })).toBe('no test ran');
    expect(findFailure(strict, true, { ...counts, skipped: ['a'] })).toBe('skipped: a');
    expect(findFailure(strict, true, { ...counts, failed: 2 })).toBe('2 tests failed');
    expect(findFailure(strict, false, counts)).toBe('see its output');
  });

  it('lets only a group that says so leave tests out', () => {
    expect(findFailure({ ...strict, maySkip: true }, true, { ...counts, skipped: ['a'] })).toBeUndefined();
  });
});

describe('runCommand', () => {
  /** @param {string} script */
  const node = (script, timeoutMs = 20_000) =>
    runCommand([process.execPath, '-e', script], { cwd: ROOT, env: { GREETING: 'hello' }, timeoutMs });

  it('tells success from failure, and passes the environment on', async () => {
    expect(await node(`process.exit(process.env.GREETING === 'hello' ? 0 : 1)`)).toBe(true);
    expect(await node('process.exit(3)')).toBe(false);
    expect(await runCommand(['/nowhere/program'], { cwd: ROOT, timeoutMs: 1000 })).toBe(false);
  });

  it('ends a program that hangs', async () => {
    expect(await node('setInterval(() => {}, 1000)', 300)).toBe(false);
    const endsWellWhenAsked = `process.on('SIGINT', () => process.exit(0)); setInterval(() => {}, 1000)`;
    expect(await node(endsWellWhenAsked, 600)).toBe(false);
  });
});
