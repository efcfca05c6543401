import { describe, expect, it } from 'vitest';
import { toDecimalRange, type NumberBounds } from './decimal-range.ts';
import { loadXGrammarInNode } from './load-xgrammar-node.ts';

/** The forms that a range is made of are a regular expression's, but for spaces and quotation marks. */
function toRegExp(range: string): RegExp {
  return new RegExp(`^${range.replace(/"\."/g, '\\.').replace(/[" ]/g, '')}$`);
}

/** What a range allows, in thousandths: every decimal from -12.999 to 12.999 in all its spellings, and what is none. */
const SPELLINGS: readonly (readonly [text: string, thousandths: number])[] = [
  ...['', '-'].flatMap((sign) =>
    Array.from({ length: 13 }, (_, whole) => whole).flatMap((whole) => [
      spell(sign, whole, ''),
      ...[1, 2, 3].flatMap((places) =>
        Array.from({ length: 10 ** places }, (_, part) =>
          spell(sign, whole, `${part}`.padStart(places, '0')),
        ),
      ),
    ]),
  ),
  ...['', '-', '.5', '5.', '-.5', '01', '00.5', '-01', '1e1', '+1', '1.5.5', ' 1'].map(
    (text) => [text, NaN] as const,
  ),
];

function spell(sign: string, whole: number, fraction: string): [string, number] {
  const size = whole * 1000 + Number(fraction.padEnd(3, '0'));
  // Zero has no sign.
  const value = sign === '' ? size : size === 0 ? NaN : -size;
  return [`${sign}${whole}${fraction && `.${fraction}`}`, value];
}

function isWithin(value: number, bounds: NumberBounds, scale = 1): boolean {
  const { minimum = -Infinity, exclusiveMinimum = -Infinity } = bounds;
  const { maximum = Infinity, exclusiveMaximum = Infinity } = bounds;
  const at = (bound: number): number => (scale === 1 ? bound : Math.round(bound * scale));
  return (
    value >= at(minimum) &&
    value <= at(maximum) &&
    value > at(exclusiveMinimum) &&
    value < at(exclusiveMaximum)
  );
}

function createDraw(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => (state = (state * 48271) % 2147483647) % limit;
}

/** Ranges of every kind: with one to four bounds, of no to three digits behind the point. */
function drawBounds(count: number): NumberBounds[] {
  const draw = createDraw(20_261_128);
  const bound = (): number => {
    const unit = 10 ** draw(4);
    return (draw(28 * unit + 1) - 14 * unit) / unit;
  };
  return Array.from({ length: count }, () => {
    const [low = 0, high = 0] = [bound(), bound()].toSorted((a, b) => a - b);
    return Object.fromEntries(
      [
        ['minimum', low],
        ['exclusiveMinimum', draw(2) ? low : bound()],
        ['maximum', high],
        ['exclusiveMaximum', draw(2) ? high : bound()],
      ].filter(() => draw(2)),
    ) as NumberBounds;
  });
}

const STATED: NumberBounds[] = [
  { maximum: 5 },
  { minimum: 2.5 },
  { exclusiveMaximum: 1 },
  { exclusiveMinimum: 0 },
  { exclusiveMaximum: 0 },
  { minimum: 0 },
  { maximum: 0 },
  { maximum: 10 },
  { minimum: 0, maximum: 0 },
  { minimum: -3 },
  { minimum: 9.99, maximum: 10.01 },
  { exclusiveMinimum: -0.001, exclusiveMaximum: 0.001 },
  { minimum: -2.5, maximum: -2.5 },
  { minimum: 1, exclusiveMinimum: 0.5, maximum: 2, exclusiveMaximum: 2 },
];

const EXTREME: NumberBounds[] = [
  { minimum: 1e-100 },
  { exclusiveMinimum: Number.MIN_VALUE, maximum: Number.MAX_VALUE },
  { minimum: -Number.MAX_VALUE, maximum: -1e-100 },
  { minimum: 1e300 },
];

/** Decimal digits without an exponent. */
function plain(value: number): string {
  const [mantissa = '', exponent] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  const point = 1 + Number(exponent);
  const padded = '0'.repeat(Math.max(0, 1 - point)) + digits.padEnd(point, '0');
  const whole = Math.max(1, point);
  const fraction = padded.slice(whole);
  return `${value < 0 ? '-' : ''}${padded.slice(0, whole)}${fraction && `.${fraction}`}`;
}

/** The next double. */
function step(value: number, up: boolean): number {
  if (value === 0) return up ? Number.MIN_VALUE : -Number.MIN_VALUE;
  const bits = new BigInt64Array(new Float64Array([value]).buffer);
  bits[0] = (bits[0] as bigint) + (up === value > 0 ? 1n : -1n);
  return new Float64Array(bits.buffer)[0] as number;
}

describe('toDecimalRange', () => {
  it.each([false, true])(
    'allows what is within bounds and nothing else (integers alone: %s)',
    (isInteger) => {
      let allowed = 0;
      let empty = 0;
      for (const bounds of [...STATED, ...drawBounds(250)]) {
        const right = SPELLINGS.filter(
          ([text, value]) => isWithin(value, bounds, 1000) && !(isInteger && text.includes('.')),
        );
        let range: string;
        try {
          range = toDecimalRange(bounds, isInteger);
        } catch (fault) {
          empty++;
          expect(String(fault)).toContain(JSON.stringify(bounds));
          expect([bounds, right]).toEqual([bounds, []]);
          continue;
        }
        const form = toRegExp(range);
        allowed += right.length;
        expect([bounds, SPELLINGS.filter(([text]) => form.test(text))]).toEqual([bounds, right]);
      }
      expect(allowed).toBeGreaterThan(isInteger ? 1_000 : 1_000_000);
      expect(empty).toBeGreaterThan(20);
    },
  );

  it.each<[NumberBounds, string[], string[]]>([
    [{ minimum: 1e20 }, [`1${'0'.repeat(20)}`, `2${'0'.repeat(20)}.5`], ['9'.repeat(20), '1e20']],
    [{ exclusiveMinimum: 1e20 }, [`1${'0'.repeat(15)}20000`], [`1${'0'.repeat(20)}`, `1${'0'.repeat(19)}1`]],
    [
      { minimum: 1e-9, maximum: 2e-9 },
      ['0.000000001', '0.00000000155'],
      ['0', '0.0000000009', '0.0000000021'],
    ],
    [{ exclusiveMinimum: 0, maximum: 1e-9 }, ['0.000000001', '0.0000000005'], ['0', '0.0', '0.0000000011']],
    [{ minimum: 5e-324, maximum: 5e-324 }, [plain(5e-324)], ['0', plain(1e-323)]],
    [{ minimum: 1.5e308 }, [plain(1.5e308), plain(Number.MAX_VALUE)], [plain(1.4e308), '9'.repeat(309)]],
    [{ maximum: -Number.MAX_VALUE }, [plain(-Number.MAX_VALUE)], ['0', plain(-1.79e308)]],
    [
      { exclusiveMinimum: 1, exclusiveMaximum: 1 + 2 ** -51 },
      ['1.0000000000000002'],
      ['1', '1.00000000000000001'],
    ],
    [{ exclusiveMaximum: 1e15 }, ['999999999999999.5'], ['1000000000000000', '999999999999999.999999']],
    [{ minimum: 0.1, maximum: 0.1 }, ['0.1', '0.100'], ['0.10000001', '0.0999999']],
  ])('has a number wherever there is one: %j', (bounds, right, wrong) => {
    const form = toRegExp(toDecimalRange(bounds, false));
    for (const text of right) expect([text, form.test(text)]).toEqual([text, true]);
    for (const text of wrong) expect([text, form.test(text)]).toEqual([text, false]);
  });

  it('holds for any doubles, as a program reads them', () => {
    const draw = createDraw(7);
    for (let index = 0; index < 400; index++) {
      const value = (draw(2) ? 1 : -1) * (draw(1e9) / (draw(1e9) + 1)) * 10 ** (draw(40) - 20);
      const more = draw(2) ? step(step(value, true), true) : value + Math.abs(value) * draw(10) + 1;
      const inclusive = toRegExp(toDecimalRange({ minimum: value, maximum: more }, false));
      expect([value, more].map((bound) => inclusive.test(plain(bound)))).toEqual([true, true]);
      // Nothing lies between neighbours.
      if (step(value, true) >= more) continue;
      const exclusive = toRegExp(toDecimalRange({ exclusiveMinimum: value, exclusiveMaximum: more }, false));
      const near = [value, more].flatMap((bound) => [
        step(bound, false),
        bound,
        step(bound, true),
        bound + draw(100) / 100,
      ]);
      // Also beyond what a double tells apart.
      for (const text of near.map(plain).flatMap((one) => [one, `${one}${one.includes('.') ? '' : '.0'}1`])) {
        const read = Number(text);
        if (inclusive.test(text)) expect(isWithin(read, { minimum: value, maximum: more })).toBe(true);
        if (exclusive.test(text))
          expect(isWithin(read, { exclusiveMinimum: value, exclusiveMaximum: more })).toBe(true);
      }
    }
  });

  it('means to the grammar library what it means as a regular expression', async () => {
    const library = await loadXGrammarInNode();
    const tokens = [...'0123456789.-', '</s>'];
    const info = await library.TokenizerInfo.createTokenizerInfo(tokens, 'byte_level', false, tokens.length, [
      tokens.length - 1,
    ]);
    const compiler = await library.GrammarCompiler.createGrammarCompiler(info, false);
    for (const bounds of [...STATED, ...EXTREME]) {
      const range = toDecimalRange(bounds, false);
      const compiled = await compiler.compileGrammar(`root ::= ${range}`);
      const matcher = await library.GrammarMatcher.createGrammarMatcher(compiled, undefined, true);
      const form = toRegExp(range);
      const wrong = SPELLINGS.filter(([text]) => {
        matcher.reset();
        return (matcher._acceptString(text) && matcher.isTerminated()) !== form.test(text);
      });
      expect([bounds, wrong]).toEqual([bounds, []]);
      matcher.dispose();
      compiled.dispose();
    }
  });
});
