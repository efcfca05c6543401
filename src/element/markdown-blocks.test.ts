import { describe, expect, it } from 'vitest';
import { MarkdownSplitter, PLAIN_TEXT_LENGTH } from './markdown-blocks.ts';

const TEXT = `# Steps

1. Open **Maps**
2. Tap \`Search\`

   more of two

| a | b |
|---|---|
| 1 | 2 |

Title
===

\`\`\`ts
const a = '<b>';

const b = 1;
\`\`\`

> quoted
lazily

last`;

const splitAtOnce = (text: string) => new MarkdownSplitter().split(text);

describe('MarkdownSplitter', () => {
  it('gives the same blocks for text that grows character by character', () => {
    const splitter = new MarkdownSplitter();
    for (let length = 1; length <= TEXT.length; length++) {
      const grown = splitter.split(TEXT.slice(0, length));
      expect(grown.map(({ html }) => html).join('')).toBe(
        splitAtOnce(TEXT.slice(0, length))
          .map(({ html }) => html)
          .join(''),
      );
    }
  });

  it('loses no character of the source', () => {
    expect(
      splitAtOnce(TEXT)
        .map(({ source }) => source)
        .join(''),
    ).toBe(TEXT);
  });

  it('keeps settled blocks identical, so that their elements stay', () => {
    const splitter = new MarkdownSplitter();
    const [first] = splitter.split('one\n\ntwo\n\nthree\n\nfour');
    expect(splitter.split('one\n\ntwo\n\nthree\n\nfour\n\nfive')[0]).toBe(first);
  });

  it('starts again when the text is another one', () => {
    const splitter = new MarkdownSplitter();
    splitter.split('one\n\ntwo\n\nthree\n\nfour');
    expect(splitter.split('other').map(({ html }) => html)).toEqual(['<p>other</p>\n']);
  });

  it('shows raw HTML as text and images as links', () => {
    const html = splitAtOnce('<img src=x onerror=alert(1)>\n\n![beacon](https://evil.example/a.png)')
      .map((block) => block.html)
      .join('');
    expect(html).not.toContain('<img');
    expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;');
    expect(html).toContain('<a href="https://evil.example/a.png"');
  });

  it.each([
    ['one line of a megabyte', 'a'.repeat(1_000_000)],
    ['a megabyte of open brackets', '['.repeat(1_000_000)],
    ['a long paragraph of many lines', '*[_`\n'.repeat(PLAIN_TEXT_LENGTH)],
  ])('shows %s as plain text within a second', (_, text) => {
    const start = performance.now();
    const blocks = splitAtOnce(text);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(blocks.some(({ html }) => html === null)).toBe(true);
  });
});
