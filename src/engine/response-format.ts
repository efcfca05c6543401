import type { GrammarSpec } from './grammar/grammar-spec.ts';
import {
  optionalBoolean,
  refuseUnknownFields,
  requestFault,
  requireObject,
  requireString,
} from './request-fault.ts';

const PARAM = 'response_format';
const FIELDS: Readonly<Record<string, ReadonlySet<string>>> = {
  text: new Set(['type']),
  json_object: new Set(['type', 'schema', 'prefix']),
  json_schema: new Set(['type', 'json_schema', 'prefix']),
  grammar: new Set(['type', 'grammar', 'prefix']),
  regex: new Set(['type', 'regex', 'prefix']),
  structural_tag: new Set(['type', 'structural_tag', 'prefix']),
};
const SCHEMA_FIELDS = new Set(['name', 'description', 'schema', 'strict']);

/** The form that `response_format` asks for; undefined for any text. @throws AutoglmError `request-invalid` */
export function parseResponseFormat(value: unknown): GrammarSpec | undefined {
  if (value === undefined || value === null) return undefined;
  const format = requireObject(PARAM, value);
  // web-llm's requests may leave the type out.
  const type = format['type'] ?? 'text';
  const fields = typeof type === 'string' && Object.hasOwn(FIELDS, type) ? FIELDS[type] : undefined;
  if (!fields) throw requestFault(`${PARAM}.type`, 'value', type, Object.keys(FIELDS).join(', '));
  refuseUnknownFields(format, fields, `${PARAM}.`);
  const form = parseForm(type, format);
  const { prefix } = format;
  if (!form || prefix === undefined || prefix === '') return form;
  return { kind: 'begun', form, prefix: requireString(`${PARAM}.prefix`, prefix) };
}

function parseForm(type: unknown, format: Readonly<Record<string, unknown>>): GrammarSpec | undefined {
  switch (type) {
    case 'json_object':
      return parseJsonObject(format['schema']);
    case 'json_schema':
      return parseJsonSchema(format['json_schema']);
    case 'grammar':
      return { kind: 'ebnf', grammar: requireString(`${PARAM}.grammar`, format['grammar']) };
    case 'regex':
      return { kind: 'regex', regex: requireString(`${PARAM}.regex`, format['regex']) };
    case 'structural_tag':
      return { kind: 'structural-tag', tag: toJsonText(`${PARAM}.structural_tag`, format['structural_tag']) };
    default:
      return undefined;
  }
}

function parseJsonObject(schema: unknown): GrammarSpec {
  if (schema === undefined || schema === null) {
    return { kind: 'json-schema', schema: { type: 'object' }, strict: false };
  }
  const text = requireString(`${PARAM}.schema`, schema);
  const parsed = parseJson(`${PARAM}.schema`, text);
  if (typeof parsed === 'boolean') return { kind: 'json-schema', schema: parsed, strict: true };
  return { kind: 'json-schema', schema: requireObject(`${PARAM}.schema`, parsed), strict: true };
}

function parseJsonSchema(value: unknown): GrammarSpec {
  const format = requireObject(`${PARAM}.json_schema`, value);
  refuseUnknownFields(format, SCHEMA_FIELDS, `${PARAM}.json_schema.`);
  requireName(`${PARAM}.json_schema.name`, format['name']);
  const { schema = { type: 'object' } } = format;
  // Without a word the stricter reading: an open schema lets a model write properties without end.
  const strict = optionalBoolean(`${PARAM}.json_schema.strict`, format['strict']) ?? true;
  if (typeof schema === 'boolean') return { kind: 'json-schema', schema, strict };
  return { kind: 'json-schema', schema: requireObject(`${PARAM}.json_schema.schema`, schema), strict };
}

/** A name of a function or schema, as OpenAI allows. @throws AutoglmError `request-invalid` */
export function requireName(param: string, value: unknown): string {
  const name = requireString(param, value);
  if (/^[a-zA-Z0-9_-]{1,64}$/.test(name)) return name;
  throw requestFault(param, 'value', name, '1 to 64 letters, digits, "_" and "-"');
}

function toJsonText(param: string, value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(requireObject(param, value));
  requireObject(param, parseJson(param, value));
  return value;
}

function parseJson(param: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw requestFault(param, 'value', text, 'JSON text');
  }
}
