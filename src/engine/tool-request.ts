import type { GrammarSpec, ToolGrammar } from './grammar/grammar-spec.ts';
import type { JsonSchema, Tool } from './openai.ts';
import {
  isObject,
  optionalBoolean,
  refuseUnknownFields,
  requestFault,
  requireArray,
  requireObject,
  requireString,
} from './request-fault.ts';
import { requireName } from './response-format.ts';

/** Most functions a request: OpenAI's limit. */
const MAX_TOOLS = 128;

const TOOL_FIELDS = new Set(['type', 'function']);
const FUNCTION_FIELDS = new Set(['name', 'description', 'parameters', 'strict']);

/** Functions without arguments: the empty object. */
const NO_PARAMETERS: JsonSchema = { type: 'object', properties: {} };

/** What the functions of a request mean for its answer. */
export interface ToolPlan {
  /** All functions that the model is told of. */
  readonly tools: readonly Tool[];
  /** Those that it may call. */
  readonly callable: readonly Tool[];
  /** `none`: it is told of them and may call none. */
  readonly mode: 'none' | 'auto' | 'required';
  /** More than one call is allowed. */
  readonly parallel: boolean;
}

/** Checks `tools`, `tool_choice` and `parallel_tool_calls`; undefined without tools. @throws AutoglmError `request-invalid` */
export function parseTools(request: {
  readonly tools?: unknown;
  readonly tool_choice?: unknown;
  readonly parallel_tool_calls?: unknown;
}): ToolPlan | undefined {
  const parallel = optionalBoolean('parallel_tool_calls', request.parallel_tool_calls) ?? true;
  const tools = requireArray('tools', request.tools ?? [], { most: MAX_TOOLS }).map(parseTool);
  const names = new Set(tools.map((tool) => tool.function.name));
  if (names.size < tools.length)
    throw requestFault('tools', 'value', [...names], 'functions of different names');
  const choice = parseChoice(request.tool_choice, tools);
  return tools.length === 0 ? undefined : { tools, parallel: parallel && !choice.single, ...choice };
}

/** How the text around the arguments of a call looks; the parser reads the same. */
export const CALL_BEGIN = '<tool_call>\n{"name": ';
export const CALL_ARGUMENTS = ', "arguments": ';
export const CALL_END = '}\n</tool_call>';

/** The form of an answer that may or must call functions. */
export function toToolGrammar(
  { callable, mode, parallel }: ToolPlan,
  otherwise: GrammarSpec | undefined,
): GrammarSpec | undefined {
  if (mode === 'none') return otherwise;
  const tools = callable.map(({ function: { name, parameters = NO_PARAMETERS, strict } }): ToolGrammar => ({
    begin: `${CALL_BEGIN}${JSON.stringify(name)}${CALL_ARGUMENTS}`,
    parameters,
    strict: strict ?? true,
    end: CALL_END,
  }));
  return { kind: 'tool-calls', tools, mode, parallel, otherwise: mode === 'auto' ? otherwise : undefined };
}

function parseTool(value: unknown, index: number): Tool {
  const path = `tools[${index}]`;
  const tool = requireObject(path, value);
  if (tool['type'] !== 'function') throw requestFault(`${path}.type`, 'value', tool['type'], 'function');
  refuseUnknownFields(tool, TOOL_FIELDS, `${path}.`);
  const definition = requireObject(`${path}.function`, tool['function']);
  refuseUnknownFields(definition, FUNCTION_FIELDS, `${path}.function.`);
  requireName(`${path}.function.name`, definition['name']);
  if (definition['description'] !== undefined) {
    requireString(`${path}.function.description`, definition['description']);
  }
  const { parameters } = definition;
  if (parameters !== undefined) {
    const schema = requireObject(`${path}.function.parameters`, parameters);
    // Arguments are an object; a schema without a type says so only by its properties.
    if (schema['type'] !== undefined && schema['type'] !== 'object') {
      throw requestFault(`${path}.function.parameters.type`, 'value', schema['type'], 'object');
    }
  }
  optionalBoolean(`${path}.function.strict`, definition['strict']);
  return withObjectParameters(tool as unknown as Tool);
}

function withObjectParameters(tool: Tool): Tool {
  const { parameters } = tool.function;
  if (!parameters || parameters['type'] === 'object') return tool;
  return { ...tool, function: { ...tool.function, parameters: { type: 'object', ...parameters } } };
}

type Choice = Pick<ToolPlan, 'callable' | 'mode'> & { readonly single?: boolean };

function parseChoice(value: unknown, tools: readonly Tool[]): Choice {
  const choice = value ?? (tools.length > 0 ? 'auto' : 'none');
  if (tools.length === 0 && choice !== 'none' && choice !== 'auto') {
    throw requestFault('tool_choice', 'value', choice, 'nothing unless there are "tools"');
  }
  if (choice === 'none' || choice === 'auto' || choice === 'required')
    return { callable: tools, mode: choice };
  if (isObject(choice) && choice['type'] === 'function') {
    const named = requireObject('tool_choice.function', choice['function']);
    return {
      callable: [find(tools, named['name'], 'tool_choice.function.name')],
      mode: 'required',
      single: true,
    };
  }
  if (isObject(choice) && choice['type'] === 'allowed_tools')
    return parseAllowed(choice['allowed_tools'], tools);
  throw requestFault('tool_choice', 'value', choice, 'none, auto, required, or one of the functions');
}

function parseAllowed(value: unknown, tools: readonly Tool[]): Choice {
  const path = 'tool_choice.allowed_tools';
  const allowed = requireObject(path, value);
  const { mode } = allowed;
  if (mode !== 'auto' && mode !== 'required') {
    throw requestFault(`${path}.mode`, 'value', mode, 'auto, required');
  }
  const callable = requireArray(`${path}.tools`, allowed['tools'], { least: 1 }).map((tool, index) => {
    const named = requireObject(
      `${path}.tools[${index}].function`,
      requireObject(`${path}.tools[${index}]`, tool)['function'],
    );
    return find(tools, named['name'], `${path}.tools[${index}].function.name`);
  });
  return { callable, mode };
}

function find(tools: readonly Tool[], name: unknown, param: string): Tool {
  const tool = tools.find((one) => one.function.name === name);
  if (tool) return tool;
  const names = tools.map((one) => one.function.name).join(', ');
  throw requestFault(param, name === undefined ? 'missing' : 'value', name, `one of ${names}`);
}
