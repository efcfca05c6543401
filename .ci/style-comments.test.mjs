import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { stripStyleComments } from './style-comments.mjs';

const ELEMENT = new URL('../src/element/', import.meta.url);

describe('stripStyleComments', () => {
  it('takes out comments and indentation, and nothing else', () => {
    expect(
      stripStyleComments(
        '/** What. */\nx = css`\n  a {\n    /* Why,\n  at length. */\n    b: c  d;\n  }\n`;\n',
      ),
    ).toBe('\nx = css`\na {\nb: c  d;\n}\n`;\n');
  });

  it('finds no marks of a comment in a string, which it would cut', () => {
    const files = readdirSync(ELEMENT, { recursive: true, encoding: 'utf8' });
    const styles = files.filter((file) => file.endsWith('.styles.ts'));
    expect(styles.length).toBeGreaterThan(15);
    for (const file of styles) {
      const text = readFileSync(new URL(file, ELEMENT), 'utf8');
      // Outside comments, of which a whole one is matched first.
      const strings = text.match(/\/\*[^]*?\*\/|(["'])(?:(?!\1).)*\1/g) ?? [];
      const cut = strings.filter((one) => !one.startsWith('/*') && /\/\*|\*\//.test(one));
      expect([file, cut]).toEqual([file, []]);
      // White space is kept where a style's own text could need it.
      expect(stripStyleComments(text).replace(/\s/g, '')).toBe(
        text.replace(/\/\*[^]*?\*\//g, '').replace(/\s/g, ''),
      );
    }
  });
});
