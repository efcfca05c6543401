import { AutoglmError, type FieldFault } from '../base/errors.ts';

/** A fault of a request's field: which, what was found there and what may be there. */
export function requestFault(
  param: string,
  fieldFault: FieldFault,
  value: unknown,
  limit: string,
): AutoglmError {
  return new AutoglmError('request-invalid', `${describe(param, fieldFault, value)}; expected ${limit}.`, {
    value,
    limit,
    param,
    fieldFault,
    cure: `Correct "${param}", or leave it out.`,
  });
}

function describe(param: string, fieldFault: FieldFault, value: unknown): string {
  if (fieldFault === 'missing') return `The request lacks "${param}"`;
  if (fieldFault === 'unknown') return `The request has an unknown field "${param}"`;
  const text = (JSON.stringify(value) ?? String(value)).slice(0, 80);
  return fieldFault === 'unsupported'
    ? `The request has "${param}" = ${text}, which is not supported`
    : `The request has "${param}" = ${text}`;
}

/** A plain object. @throws AutoglmError `request-invalid` */
export function requireObject(param: string, value: unknown): Readonly<Record<string, unknown>> {
  if (isObject(value)) return value;
  throw requestFault(param, value === undefined ? 'missing' : 'type', value, 'an object');
}

/** A list of at least `least` and at most `most`. @throws AutoglmError `request-invalid` */
export function requireArray(
  param: string,
  value: unknown,
  { least = 0, most = Infinity }: { readonly least?: number; readonly most?: number } = {},
): readonly unknown[] {
  if (Array.isArray(value) && value.length >= least && value.length <= most) return value as unknown[];
  const limit = most === Infinity ? `a list of at least ${least}` : `a list of ${least} to ${most}`;
  const fault = value === undefined ? 'missing' : Array.isArray(value) ? 'value' : 'type';
  throw requestFault(param, fault, Array.isArray(value) ? value.length : value, limit);
}

/** @throws AutoglmError `request-invalid` */
export function requireString(param: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw requestFault(param, value === undefined ? 'missing' : 'type', value, 'a string');
}

/** Absent and null are undefined. @throws AutoglmError `request-invalid` */
export function optionalBoolean(param: string, value: unknown): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'boolean') return value;
  throw requestFault(param, 'type', value, 'true or false');
}

/** Absent and null are undefined. @throws AutoglmError `request-invalid` */
export function optionalInteger(
  param: string,
  value: unknown,
  least: number,
  most: number,
): number | undefined {
  if (value === undefined || value === null) return undefined;
  const limit = most === Infinity ? `an integer of at least ${least}` : `an integer from ${least} to ${most}`;
  if (!Number.isInteger(value)) throw requestFault(param, 'type', value, limit);
  if ((value as number) >= least && (value as number) <= most) return value as number;
  throw requestFault(param, 'value', value, limit);
}

/** Absent and null are the first. @throws AutoglmError `request-invalid` */
export function optionalChoice<T extends string>(
  param: string,
  value: unknown,
  choices: readonly [T, ...T[]],
): T {
  if (value === undefined || value === null) return choices[0];
  if (choices.includes(value as T)) return value as T;
  throw requestFault(param, 'value', value, choices.join(', '));
}

/** Refuses fields that a request of this kind does not have. @throws AutoglmError `request-invalid` */
export function refuseUnknownFields(
  value: Readonly<Record<string, unknown>>,
  fields: ReadonlySet<string>,
  path = '',
): void {
  const unknown = Object.keys(value).find((key) => !fields.has(key) && value[key] !== undefined);
  if (unknown === undefined) return;
  throw requestFault(`${path}${unknown}`, 'unknown', value[unknown], [...fields].toSorted().join(', '));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
