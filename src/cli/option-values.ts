import { InvalidArgumentError } from 'commander';

/** Reads an option's value as a whole number of at least 0. */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** Reads an option's value as a number. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** Reads an option's value as whole numbers with commas between them. */
export function parseCounts(text: string): number[] {
  return text.split(',').map((part) => parseCount(part.trim()));
}

/** Reads an option's value as gigabytes above 0. */
export function parseGigabytes(text: string): number {
  const value = parseNumber(text);
  if (value <= 0) throw new InvalidArgumentError('It must be above 0.');
  return value;
}
