/** JSON Schema's keywords for the range of a number. */
export interface NumberBounds {
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
}

/** Digits behind the point that are always allowed, and as many more than a bound has: something lies between any two. */
const PLACES = 6;
const MORE_PLACES = 2;
/** More only where no number has fewer: each is a level of the grammar. */
const MOST_PLACES = 40;
/** Where any digits may follow. */
const MOST_FREE_PLACES = 15;
/** As many digits as a double tells apart, on a side without a bound. */
const REACH = 999_999_999_999_999;

/**
 * The numbers between bounds as an EBNF expression, exactly: decimals without an exponent, with as many digits behind
 * the point as the bounds need. The double that a program reads lies within the bounds too.
 *
 * Bounds become integers in units of the last place: a decimal lies within them if its digits lie between theirs.
 *
 * @throws Error if no number lies there
 */
export function toDecimalRange(bounds: NumberBounds, isInteger: boolean, mostPlaces = MOST_PLACES): string {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = bounds;
  const stated = [minimum, exclusiveMinimum, maximum, exclusiveMaximum].map((bound = 0) => bound);
  const needed = Math.max(PLACES, ...stated.map((bound) => MORE_PLACES - split(bound)[1]));
  const places = isInteger ? 0 : Math.min(needed, mostPlaces);
  const reach = Math.min(Number.MAX_VALUE, Math.max(REACH, ...stated.map((bound) => Math.abs(bound) * 10)));
  // Rounded up.
  const toUnits = (value: number): bigint => {
    const [digits, exponent] = split(value);
    const shift = places + exponent;
    if (shift >= 0) return digits * 10n ** BigInt(shift);
    const unit = 10n ** BigInt(-shift);
    return digits / unit + (digits % unit > 0n ? 1n : 0n);
  };
  const least = (bound = -reach, below?: number): bigint => {
    const units = toUnits(isInteger ? Math.ceil(bound) : bound);
    if (below === undefined) return units;
    // Two decimals may be one double: the least that is another.
    const isAbove = (more: bigint): boolean => Number(`${start + more}e-${places}`) > below;
    const start = toUnits(isInteger ? Math.floor(below) : below);
    let more = 1n;
    while (!isAbove(more)) more *= 2n;
    for (let step = more; step > 0n; step /= 2n) if (isAbove(more - step)) more -= step;
    const above = start + more;
    return units > above ? units : above;
  };
  const low = least(minimum, exclusiveMinimum);
  const high = -least(maximum && -maximum, exclusiveMaximum && -exclusiveMaximum);
  if (low > high && places && places < needed) return toDecimalRange(bounds, isInteger, needed);
  if (low > high) throw new Error(`no number is allowed by ${JSON.stringify(bounds)}`);
  const positive = high < 0n ? [] : toForms(low > 0n ? low : 0n, high, places);
  const negative = low < 0n ? toForms(high < 0n ? -high : 1n, -low, places) : [];
  return `(${[...positive, ...negative.map((form) => `"-" ${form}`)].join(' | ')})`;
}

/** A number's digits as an integer, and the power of ten that they count. */
function split(value: number): [digits: bigint, exponent: number] {
  const [digits = '', exponent] = value.toExponential().split('e');
  return [BigInt(digits.replace('.', '')), Number(exponent) - digits.replace(/.*?\d\.?/, '').length];
}

/** Forms by the number of digits before the point: the fewest, those between, the most. */
function toForms(low: bigint, high: bigint, places: number): string[] {
  const [least, most] = [low, high].map((units) => `${units}`.padStart(places + 1, '0')) as [string, string];
  if (least.length === most.length) return [toForm(least, most, places)];
  const more = most.length - places - 2;
  const forms = [toForm(least, '9'.repeat(least.length), places)];
  const fewest = least.length - places;
  if (more >= fewest)
    forms.push(`[1-9] [0-9]{${fewest},${more}} ${toForm('0'.repeat(places), '9'.repeat(places), places)}`);
  return [...forms, toForm('1'.padEnd(most.length, '0'), most, places)];
}

/** What is left of a decimal: digits from `least` to `most`, the last `places` of them behind the point. */
function toForm(least: string, most: string, places: number): string {
  const { length } = least;
  const whole = length - places;
  if (length === 0) return '';
  const mayEnd = /^0*$/.test(least);
  const isAny = mayEnd && /^9*$/.test(most);
  if (isAny && whole > 0) return `[0-9]{${whole}} ${toForm(least.slice(whole), most.slice(whole), places)}`;
  const form =
    (whole ? '' : '"." ') +
    (isAny ? `[0-9]{1,${Math.min(length, MOST_FREE_PLACES)}}` : toChoice(least, most, places));
  return mayEnd && whole <= 0 ? `(${form})?` : form;
}

/** By the first digit; those with the same rest are one class. */
function toChoice(least: string, most: string, places: number): string {
  const [low, high] = [Number(least[0]), Number(most[0])];
  const firsts: Record<string, string> = {};
  for (let digit = low; digit <= high; digit++) {
    const from = digit > low ? '0'.repeat(least.length - 1) : least.slice(1);
    const rest = toForm(from, digit < high ? '9'.repeat(from.length) : most.slice(1), places);
    firsts[rest] = `${firsts[rest] ?? ''}${digit}`;
  }
  const forms = Object.entries(firsts).map(([rest, digits]) => `[${digits}] ${rest}`);
  return forms.length > 1 ? `(${forms.join(' | ')})` : (forms[0] ?? '');
}
