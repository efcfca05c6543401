import { EN } from './en.ts';
import type { StringKey } from './en.ts';
import { ZH } from './zh.ts';

export type { StringKey } from './en.ts';

/** Words of one language; keys that are missing fall back to English. */
export type Strings = Readonly<Partial<Record<StringKey, string>>>;

const CATALOGUES = new Map<string, Strings>([
  ['en', EN],
  ['zh', ZH],
]);

const listeners = new Set<() => void>();

/**
 * Adds or replaces a language at run time; elements that show it render again.
 *
 * `{name}` in a string is replaced by a value, `{name?one:token|other:tokens}` by the words that go with a number, by
 * the language's plural categories. Keys that are left out stay English.
 *
 * @param locale BCP 47 tag such as `fr` or `pt-BR`.
 */
export function registerStrings(locale: string, strings: Strings): void {
  CATALOGUES.set(locale.toLowerCase(), strings);
  for (const listener of listeners) listener();
}

/** Calls back after each `registerStrings`; the returned function ends that. */
export function onStringsChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Says everything that an element says, in one language. */
export interface Localizer {
  /** BCP 47 tag whose numbers and words are used. */
  readonly locale: string;
  readonly direction: 'ltr' | 'rtl';
  /** The words for a key, with `{name}` replaced. */
  say(key: StringKey, values?: Readonly<Record<string, string | number>>): string;
  count(value: number): string;
  bytes(value: number): string;
  seconds(milliseconds: number): string;
  duration(milliseconds: number): string;
  time(epochMs: number): string;
  date(epochMs: number): string;
}

/** The localizer for the first of these tags that has a catalogue; English where none has. */
export function createLocalizer(tags: readonly string[]): Localizer {
  const locale = tags.find((tag) => isLocale(tag) && findCatalogue(tag) !== undefined) ?? 'en';
  const strings = findCatalogue(locale) ?? EN;
  const number = new Intl.NumberFormat(locale);
  const plural = new Intl.PluralRules(locale);
  return {
    locale,
    direction: directionOf(locale),
    say: (key, values = {}) => fill(strings[key] ?? EN[key], values, { number, plural }),
    count: (value) => number.format(value),
    bytes: (value) => formatBytes(value, locale),
    seconds: (milliseconds) => formatSeconds(milliseconds, locale),
    duration: (milliseconds) => formatDuration(milliseconds, locale),
    time: (epochMs) => new Intl.DateTimeFormat(locale, { timeStyle: 'short' }).format(epochMs),
    date: (epochMs) => new Intl.DateTimeFormat(locale, { dateStyle: 'medium' }).format(epochMs),
  };
}

function fill(
  template: string,
  values: Readonly<Record<string, string | number>>,
  { number, plural }: { readonly number: Intl.NumberFormat; readonly plural: Intl.PluralRules },
): string {
  return template.replaceAll(/\{(\w+)(?:\?([^}]*))?\}/g, (whole, name: string, forms?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (forms !== undefined) return chooseForm(forms, plural.select(Number(value)));
    return typeof value === 'number' ? number.format(value) : value;
  });
}

/** `one:token|other:tokens` in the form that a number takes. */
function chooseForm(forms: string, category: Intl.LDMLPluralRule): string {
  const byCategory = new Map(forms.split('|').map((form) => form.split(':', 2) as [string, string]));
  return byCategory.get(category) ?? byCategory.get('other') ?? '';
}

/** `zh-Hant-TW` is looked for as itself, then `zh-hant`, then `zh`. */
function findCatalogue(tag: string): Strings | undefined {
  const parts = tag.toLowerCase().split('-');
  for (let length = parts.length; length > 0; length--) {
    const catalogue = CATALOGUES.get(parts.slice(0, length).join('-'));
    if (catalogue !== undefined) return catalogue;
  }
  return undefined;
}

function isLocale(tag: string): boolean {
  try {
    return tag !== '' && Intl.getCanonicalLocales(tag).length > 0;
  } catch {
    return false;
  }
}

const RTL_LANGUAGES = new Set(['ar', 'dv', 'fa', 'he', 'ks', 'ps', 'ug', 'ur', 'yi']);

// Intl.Locale's textInfo is not in every browser that has WebGPU, so a list decides.
function directionOf(locale: string): 'ltr' | 'rtl' {
  return RTL_LANGUAGES.has(new Intl.Locale(locale).language) ? 'rtl' : 'ltr';
}

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

/** Decimal units, as download sizes and drives are labelled. */
function formatBytes(bytes: number, locale: string): string {
  const power = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return new Intl.NumberFormat(locale, {
    style: 'unit',
    unit: BYTE_UNITS[power] ?? 'byte',
    unitDisplay: power === 0 ? 'long' : 'short',
    maximumFractionDigits: power >= 2 && value < 100 ? 1 : 0,
  }).format(value);
}

function formatSeconds(milliseconds: number, locale: string): string {
  return new Intl.NumberFormat(locale, {
    style: 'unit',
    unit: 'second',
    unitDisplay: 'short',
    maximumFractionDigits: milliseconds < 10_000 ? 1 : 0,
  })
    .format(milliseconds / 1000)
    .replace(/ sec$/, ' s');
}

/** Minutes and seconds, or hours and minutes: as much as a wait needs. */
function formatDuration(milliseconds: number, locale: string): string {
  const seconds = Math.max(1, Math.round(milliseconds / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const unit = (value: number, name: string) =>
    new Intl.NumberFormat(locale, { style: 'unit', unit: name, unitDisplay: 'short' }).format(value);
  if (hours > 0) return `${unit(hours, 'hour')} ${unit(minutes, 'minute')}`;
  if (minutes > 0) return `${unit(minutes, 'minute')} ${unit(seconds % 60, 'second')}`;
  return unit(seconds, 'second');
}
