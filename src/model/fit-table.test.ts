/** The README's fit table against the planner. `UPDATE_FIT_TABLE=1 npm run test:unit -- src/model/fit-table` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  CARDS,
  CONTEXTS,
  describe9B,
  describeCell,
  fitCard,
  renderFitTable,
  RESERVED_BYTES,
} from './fit-table.ts';

const README = new URL('../../README.md', import.meta.url);
const MARKS = /(<!-- fit-table -->\n).*?(\n<!-- \/fit-table -->)/s;

/** Cells without the padding that a formatter adds. */
function toCells(markdown: string): string[][] {
  return markdown
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim().replace(/^-+$/, '---')));
}

describe('fit table', { timeout: 60_000 }, () => {
  const shape = describe9B();

  it('is in the README as the planner computes it', () => {
    const table = renderFitTable(shape);
    if (process.env['UPDATE_FIT_TABLE']) {
      writeFileSync(README, readFileSync(README, 'utf8').replace(MARKS, `$1\n${table}\n$2`));
    }
    const written = MARKS.exec(readFileSync(README, 'utf8'))?.[0].replaceAll(/<!--.*?-->/g, '');
    expect(toCells(written ?? '')).toEqual(toCells(table));
  });

  it('promises no card more than it has', () => {
    for (const card of CARDS) {
      for (const context of CONTEXTS) {
        const cell = fitCard(shape, card, context);
        if (cell.kind === 'none') continue;
        expect(cell.settings.memory.totalBytes).toBeLessThanOrEqual(card * 2 ** 30 - RESERVED_BYTES);
        if (cell.kind === 'fits') expect(cell.settings.context).toBe(context);
        else expect(cell.settings.context).toBeLessThan(context);
      }
    }
  });

  it('says what does not fit at all, and what it would need', () => {
    const cell = fitCard(shape, 4, 4096);
    expect(cell.kind).toBe('none');
    expect(describeCell(cell)).toMatch(/^no: needs [5-9]\.\d GB$/);
  });
});
