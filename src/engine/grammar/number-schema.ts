import { toDecimalRange } from './decimal-range.ts';

/** A schema that the library makes a grammar of, and what gives that grammar its numbers' bounds. */
export interface MarkedSchema {
  readonly schema: unknown;
  readonly fill: (ebnf: string) => string;
}

const BOUND = /^(?:exclusiveM|m)(?:in|ax)imum$/;
/** Keywords whose values are no schemas, and keywords below which the keys are names that somebody chose. */
const PLAIN = /^(?:const|enum)$/;
const NAMED = /^(?:properties|patternProperties|\$defs|definitions)$/;
/** The first mark: a number of 13 digits that no schema has for itself. */
const MARK = 7_302_195_800_000;

/**
 * The library's own grammars for bounds are wrong: 5.39 for a maximum of 5, a lone `-` for integers from -3 on. So a
 * number with bounds gets a mark as the only one allowed, in whose place the grammar then gets the right range.
 *
 * @throws Error for bounds that allow no number
 */
export function markNumbers(schema: unknown): MarkedSchema {
  const ranges: string[] = [];
  const mark = (value: unknown, key = ''): unknown => {
    if (typeof value !== 'object' || value === null || PLAIN.test(key)) return value;
    if (Array.isArray(value)) return value.map((item) => mark(item));
    const copy: Record<string, unknown> = Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, mark(item, NAMED.test(key) ? '' : name)]),
    );
    const bounds = Object.keys(copy).filter((name) => BOUND.test(name));
    const types = [copy['type']].flat();
    const others = types.filter((type) => type !== 'number' && type !== 'integer');
    // What is no number the library refuses in its own words.
    if (!bounds.length || bounds.some((name) => typeof copy[name] !== 'number')) return copy;
    if (others.length === types.length) return copy;
    const number = MARK + ranges.length;
    ranges.push(toDecimalRange(copy, !types.includes('number')));
    for (const name of bounds) delete copy[name];
    return { ...copy, type: ['number', ...others], minimum: number, maximum: number };
  };
  return {
    schema: mark(schema),
    fill: (ebnf) =>
      ebnf.replace(/\( ("\d" ){13}\)/g, (text) => ranges[Number(text.replace(/\D/g, '')) - MARK] ?? text),
  };
}
