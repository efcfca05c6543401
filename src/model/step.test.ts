import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { encodeRows, encodeStep, IMAGE_FLAG, ROW_WORDS, STEP_WORDS } from './step.ts';

/** Fields of a struct of a prelude, in the order of its u32 words. */
async function readFields(file: string, struct: string): Promise<string[]> {
  const source = await readFile(new URL(`../../shaders/preludes/${file}`, import.meta.url), 'utf8');
  const body = new RegExp(`struct ${struct} \\{([^}]*)\\}`).exec(source)?.[1] ?? '';
  return [...body.replaceAll(/\/\/.*/g, '').matchAll(/(\w+): (u32|vec3u)/g)].flatMap(([, name, type]) =>
    type === 'vec3u' ? [`${name}.x`, `${name}.y`, `${name}.z`] : [name],
  );
}

/** One field a word, as the encoder wrote it. */
function label(words: Uint32Array, names: Readonly<Record<number, string>>): (string | undefined)[] {
  return [...words].map((word) => names[word]);
}

describe('encodeRows', () => {
  const row = { position: [11, 12, 13], token: 14, cacheIndex: 15, slot: 16, generated: 17 } as const;

  it('writes the fields where the shader declares them', async () => {
    const fields = await readFields('row.wgsl', 'Row');
    expect(fields).toHaveLength(ROW_WORDS);
    const written = label(encodeRows([row]), {
      11: 'position.x',
      12: 'position.y',
      13: 'position.z',
      14: 'token',
      15: 'cache_index',
      16: 'slot',
      17: 'generated',
    });
    expect(written.slice(0, 7)).toEqual(fields.slice(0, 7));
  });

  it('puts rows one after the other and keeps the image flag', () => {
    const words = encodeRows([row, { ...row, token: IMAGE_FLAG + 3 }]);
    expect(words).toHaveLength(2 * ROW_WORDS);
    expect(words[ROW_WORDS]).toBe(11);
    expect(words[ROW_WORDS + 3]).toBe(0x80000003);
  });
});

describe('encodeStep', () => {
  it('writes the fields where the shader declares them', async () => {
    const fields = await readFields('step.wgsl', 'Step');
    expect(fields).toHaveLength(STEP_WORDS);
    const words = encodeStep({ rowCount: 1, gridRows: 2, gridColumns: 3, slot: 4, cacheStart: 5 });
    const written = label(words, {
      1: 'row_count',
      2: 'grid_rows',
      3: 'grid_columns',
      4: 'slot',
      5: 'cache_start',
    });
    expect(written.slice(0, 5)).toEqual(fields.slice(0, 5));
  });

  it('leaves everything but the rows at 0 for text at the beginning of the cache', () => {
    expect([...encodeStep({ rowCount: 9 })]).toEqual([9, 0, 0, 0, 0, 0, 0, 0]);
  });
});
