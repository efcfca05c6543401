import { describe, expect, it } from 'vitest';
import { parseStop } from './parse-stop.ts';
import { StopStrings } from './stop-strings.ts';

function run(
  stops: readonly string[],
  pieces: readonly string[],
): { shown: string[]; stopped: string | undefined } {
  const matcher = new StopStrings(stops);
  const shown = pieces.map((piece) => matcher.push(piece).text);
  const { text, stopped } = matcher.flush();
  return { shown: [...shown, text], stopped };
}

/** The plain rule: cut at the stop string that ends first, the longest of those. */
function cut(text: string, stops: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const ending = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (ending.length > 0) return text.slice(0, end - Math.max(...ending.map(({ length }) => length)));
  }
  return text;
}

/** Every way to cut a text into pieces. */
function splits(text: string): string[][] {
  return Array.from({ length: 2 ** (text.length - 1) }, (_, bits) => {
    const pieces = [''];
    [...text].forEach((character, index) => {
      pieces[pieces.length - 1] += character;
      if ((bits >> index) & 1 && index < text.length - 1) pieces.push('');
    });
    return pieces;
  });
}

describe('StopStrings', () => {
  it.each([
    { text: 'say abcabd now', stops: ['abd'] },
    { text: 'aaaab', stops: ['aab'] },
    { text: 'xabcy', stops: ['abcd', 'bc'] },
    { text: 'xabcdy', stops: ['abcd', 'cd', 'zz'] },
    { text: 'ends with hal', stops: ['half'] },
    { text: '</answer>x', stops: ['</answer>'] },
    { text: 'stop', stops: ['stop'] },
    { text: 'nothing', stops: [] },
  ])('cuts "$text" at $stops however it is split, and shows no part of a stop string', ({ text, stops }) => {
    const expected = cut(text, stops);
    for (const pieces of splits(text)) {
      const { shown, stopped } = run(stops, pieces);
      expect(shown.join('')).toBe(expected);
      expect(stopped === undefined).toBe(expected === text);
      // What is visible after each piece is a beginning of the right answer.
      let visible = '';
      for (const piece of shown) expect(expected.startsWith((visible += piece))).toBe(true);
    }
  });

  it('agrees with the plain rule on random texts over a small alphabet', () => {
    let state = 1;
    const draw = (limit: number): number => (state = (state * 48271) % 2147483647) % limit;
    const word = (length: number): string => Array.from({ length }, () => 'ab'[draw(2)]).join('');
    for (let round = 0; round < 2000; round++) {
      const stops = Array.from({ length: 1 + draw(3) }, () => word(2 + draw(6)));
      const pieces = Array.from({ length: 1 + draw(6) }, () => word(draw(5)));
      expect(run(stops, pieces).shown.join('')).toBe(cut(pieces.join(''), stops));
    }
  });

  it('holds no more back than the possible beginning of a stop string', () => {
    const matcher = new StopStrings(['END', '😀😁']);
    expect(matcher.push('the E').text).toBe('the ');
    expect(matcher.push('N').text).toBe('');
    expect(matcher.push('x').text).toBe('ENx');
    expect(matcher.push('😀').text).toBe('');
    expect(matcher.push('😂').text).toBe('😀😂');
    expect(matcher.push('😀😁 more')).toEqual({ text: '', stopped: '😀😁' });
    expect(matcher.push('still more')).toEqual({ text: '', stopped: '😀😁' });
    expect(matcher.flush()).toEqual({ text: '', stopped: '😀😁' });
  });

  it('takes time linear in the text even where beginnings repeat', () => {
    const stops = [`${'a'.repeat(2000)}b`];
    const matcher = new StopStrings(stops);
    const start = performance.now();
    let shown = 0;
    for (let index = 0; index < 200; index++) shown += matcher.push('a'.repeat(1000)).text.length;
    expect(shown).toBe(200_000 - 2000);
    expect(matcher.push('b').stopped).toBe(stops[0]);
    // Comparing each suffix anew would take 400 million steps.
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('parseStop', () => {
  it('takes a string, a list, and nothing', () => {
    expect(parseStop('x')).toEqual(['x']);
    expect(parseStop(['x', 'y'])).toEqual(['x', 'y']);
    expect(parseStop(null)).toEqual([]);
    expect(parseStop(undefined)).toEqual([]);
  });

  it.each([[''], [['a', '']], [5], [Array(17).fill('x')], [{}]])('refuses %j', (stop) => {
    expect(() => parseStop(stop)).toThrow(/"stop"/);
  });
});
