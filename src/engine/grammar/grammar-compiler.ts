import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar';
import { AutoglmError } from '../../base/errors.ts';
import type { TokenConstraint, TokenMask } from '../../model/token-constraint.ts';
import type { GrammarSpec, ToolGrammar } from './grammar-spec.ts';
import { markNumbers } from './number-schema.ts';
import type { LoadXGrammar, XGrammar } from './xgrammar.ts';

/** What a grammar must know of the model. */
export interface GrammarVocabulary {
  /** Tokens by id in the tokenizer's own spelling (`Ġa`); empty for those that no grammar may use: control tokens. */
  readonly tokens: readonly string[];
  /** Ids that end an answer once the grammar is satisfied. */
  readonly stopTokenIds: readonly number[];
}

/** A constraint that holds memory until it is disposed of. */
export interface GrammarConstraint extends TokenConstraint {
  /** Idempotent. */
  dispose(): void;
}

/** One loaded library, with the model's vocabulary in it. */
interface Instance {
  readonly library: XGrammar;
  readonly compiler: GrammarCompiler;
  /** What the library printed of its faults, newest last. */
  readonly faults: string[];
}

/** Compiled grammars that are kept for the next request of the same form. */
const KEPT_GRAMMARS = 16;

/** Longest source of a grammar, in UTF-16 units: far beyond any sane schema, short enough to compile. */
export const MAX_GRAMMAR_LENGTH = 200_000;

/** JSON without line breaks, spaced as models write it: no answer can go on and on in white space. */
const JSON_SEPARATORS: [string, string] = [', ', ': '];
const NO_INDENT = -1;
/** As many digits as a double tells apart, and exponents that it has: 1e999 is a JSON number, and no number to a program. */
const NUMBER_RULES = [
  ['basic_integer', '("0" | "-"? [1-9] [0-9]{0,14})'],
  ['basic_number', '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?'],
] as const;

/** In a row, where it is not fixed. */
const MOST_WHITE_SPACE = 20;

/**
 * Compiles forms of answers for a model's vocabulary. The library is loaded with the first one.
 *
 * A form that the library refuses aborts the program inside it, which leaves its stack and memory in an undefined
 * state (after some twenty of them nothing works any more): it is dropped then, and the next form gets a fresh one.
 */
export class AnswerGrammars {
  readonly #load: LoadXGrammar;
  readonly #vocabulary: () => GrammarVocabulary;
  readonly #compiled = new Map<string, CompiledGrammar>();
  #instance: Promise<Instance> | undefined;

  constructor(load: LoadXGrammar, vocabulary: () => GrammarVocabulary) {
    this.#load = load;
    this.#vocabulary = vocabulary;
  }

  /**
   * A constraint for one answer; the caller disposes of it.
   *
   * @param param the request's field that a fault is reported for.
   * @throws AutoglmError `request-invalid` for a form that cannot be compiled
   */
  async constrain(spec: GrammarSpec, param: string): Promise<GrammarConstraint> {
    if (spec.kind !== 'begun') return new MatcherConstraint(await this.#match(spec, param));
    const { form, prefix } = spec;
    // A beginning that somebody else wrote may be spaced as they like.
    for (const one of form.kind === 'json-schema' ? [form, { ...form, isLoose: true }] : [form]) {
      const matcher = await this.#match(one, param);
      if (matcher._acceptString(prefix)) return new MatcherConstraint(matcher);
      matcher.dispose();
    }
    throw refused(`${param}.prefix`, 'it is no beginning of the form', 'the beginning of the form', prefix);
  }

  async #match(spec: GrammarSpec, param: string): Promise<GrammarMatcher> {
    const key = JSON.stringify(spec);
    if (key.length > MAX_GRAMMAR_LENGTH) {
      throw refused(param, `it has ${key.length} characters`, `${MAX_GRAMMAR_LENGTH} characters`);
    }
    const instance = await (this.#instance ??= this.#open());
    try {
      const compiled = await this.#compile(instance, key, spec);
      return await instance.library.GrammarMatcher.createGrammarMatcher(compiled);
    } catch (cause) {
      this.#instance = undefined;
      this.#compiled.clear();
      throw refused(param, describeFault(instance, cause), 'a form that xgrammar supports', cause);
    }
  }

  async #open(): Promise<Instance> {
    const { tokens, stopTokenIds } = this.#vocabulary();
    const faults: string[] = [];
    try {
      const library = await this.#load();
      const info = await collectFaults(faults, () =>
        library.TokenizerInfo.createTokenizerInfo([...tokens], 'byte_level', false, tokens.length, [
          ...stopTokenIds,
        ]),
      );
      // Without its cache, which would keep a refused form as one that is never done.
      const compiler = await library.GrammarCompiler.createGrammarCompiler(info, false);
      return { library, compiler, faults };
    } catch (cause) {
      this.#instance = undefined;
      throw new AutoglmError('internal', 'The grammar library did not load.', {
        value: String(cause),
        cure: 'Check that the page may load its own scripts and WebAssembly (Content-Security-Policy).',
        cause,
      });
    }
  }

  async #compile(instance: Instance, key: string, spec: GrammarSpec): Promise<CompiledGrammar> {
    const kept = this.#compiled.get(key);
    const compiled = kept ?? (await compileSpec(instance, spec));
    this.#compiled.delete(key);
    this.#compiled.set(key, compiled);
    const [oldest] = this.#compiled;
    if (this.#compiled.size > KEPT_GRAMMARS && oldest) {
      this.#compiled.delete(oldest[0]);
      oldest[1].dispose();
    }
    return compiled;
  }
}

class MatcherConstraint implements GrammarConstraint {
  readonly #matcher: GrammarMatcher;
  #isDisposed = false;

  constructor(matcher: GrammarMatcher) {
    this.#matcher = matcher;
  }

  async nextMask(): Promise<TokenMask> {
    return (await this.#matcher.getNextTokenBitmask()) as TokenMask;
  }

  accept(tokenId: number): void {
    if (this.#matcher.acceptToken(tokenId)) return;
    throw new AutoglmError(
      'internal',
      `The sampler chose token ${tokenId}, which the grammar does not allow.`,
      {
        value: tokenId,
        cure: 'Report this fault with the request that led to it.',
      },
    );
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#matcher.dispose();
  }
}

async function compileSpec(instance: Instance, spec: GrammarSpec): Promise<CompiledGrammar> {
  const { compiler } = instance;
  if (spec.kind === 'ebnf') return compiler.compileGrammar(spec.grammar);
  if (spec.kind === 'json-schema') {
    return compiler.compileGrammar(await toEbnf(instance, spec));
  }
  if (spec.kind === 'structural-tag')
    return compiler.compileStructuralTag(JSON.parse(spec.tag) as Record<string, unknown>);
  const tag: Record<string, unknown> = { type: 'structural_tag', format: await toFormat(instance, spec) };
  return compiler.compileStructuralTag(tag);
}

/** A form as a part of a structural tag. */
async function toFormat(instance: Instance, spec: GrammarSpec): Promise<Record<string, unknown>> {
  switch (spec.kind) {
    case 'ebnf':
      return { type: 'grammar', grammar: spec.grammar };
    case 'regex':
      return { type: 'regex', pattern: spec.regex };
    case 'json-schema':
      return { type: 'grammar', grammar: await toEbnf(instance, spec) };
    case 'structural-tag': {
      const tag = JSON.parse(spec.tag) as { type?: unknown; format?: Record<string, unknown> };
      return tag.format ?? tag;
    }
    case 'tool-calls':
      return toCallFormat(instance, spec);
    case 'begun':
      return toFormat(instance, spec.form);
  }
}

async function toCallFormat(
  instance: Instance,
  { tools, mode, parallel, otherwise }: Extract<GrammarSpec, { kind: 'tool-calls' }>,
): Promise<Record<string, unknown>> {
  const tags = await Promise.all(tools.map((tool) => toTag(instance, tool)));
  // The library knows no choice between a list of calls and another form: here it is one call or the form.
  if (otherwise) return { type: 'or', elements: [...tags, await toFormat(instance, otherwise)] };
  if (mode === 'required') {
    return {
      type: 'tags_with_separator',
      tags,
      separator: '\n',
      at_least_one: true,
      stop_after_first: !parallel,
    };
  }
  return { type: 'triggered_tags', triggers: [TOOL_CALL_TRIGGER], tags, stop_after_first: !parallel };
}

/** Text with which every call begins, whatever the function. */
export const TOOL_CALL_TRIGGER = '<tool_call>';

async function toTag(instance: Instance, tool: ToolGrammar): Promise<Record<string, unknown>> {
  const { begin, parameters, strict, end } = tool;
  return {
    type: 'tag',
    begin,
    content: { type: 'grammar', grammar: await toEbnf(instance, { schema: parameters, strict }) },
    end,
  };
}

async function toEbnf(
  { library }: Instance,
  { schema, strict, isLoose = false }: { schema: unknown; strict: boolean; isLoose?: boolean | undefined },
): Promise<string> {
  const { Testings } = library;
  const marked = markNumbers(schema);
  const text = JSON.stringify(marked.schema);
  const ebnf = isLoose
    ? await Testings._jsonSchemaToEBNF(text, true, undefined, undefined, strict, MOST_WHITE_SPACE)
    : await Testings._jsonSchemaToEBNF(text, false, NO_INDENT, JSON_SEPARATORS, strict);
  return NUMBER_RULES.reduce(
    (rules, [name, body]) => rules.replace(new RegExp(`^${name} ::= .*$`, 'm'), `${name} ::= ${body}`),
    marked.fill(ebnf),
  );
}

/** The library binds its error output when it starts: that of its own faults is kept from the console. */
async function collectFaults<T>(faults: string[], start: () => Promise<T>): Promise<T> {
  const original = console.error;
  console.error = (...words: unknown[]): void => {
    const text = words.join(' ');
    if (/^\[FATAL\]|^Aborted\(/.test(text)) faults.push(text);
    else original.apply(console, words);
  };
  try {
    return await start();
  } finally {
    console.error = original;
  }
}

/** `[FATAL] /path/file.cc:902: Unsupported type "x"` without its head. */
function describeFault({ faults }: Instance, cause: unknown): string {
  const fatal = faults.findLast((text) => text.startsWith('[FATAL]'));
  if (fatal !== undefined)
    return fatal
      .replace(/^\[FATAL\] \S+:\d+: /, '')
      .trim()
      .replace(/\.$/, '');
  return cause instanceof Error ? cause.message.replace(/\.$/, '') : 'the grammar library gives no reason';
}

function refused(param: string, reason: string, limit: string, cause?: unknown): AutoglmError {
  return new AutoglmError('request-invalid', `Cannot enforce "${param}": ${reason}.`, {
    value: reason,
    limit,
    cure: `Simplify "${param}", or leave it out.`,
    param,
    fieldFault: 'value',
    cause,
  });
}
