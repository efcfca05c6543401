import type { JsonSchema } from '../openai.ts';

/** The form that an answer must have, as the grammar library takes it. */
export type GrammarSpec =
  | {
      readonly kind: 'json-schema';
      readonly schema: JsonSchema | boolean;
      /** No other properties and items than the schema names. */
      readonly strict: boolean;
      /** With any white space between its parts, up to a limit. */
      readonly isLoose?: boolean | undefined;
    }
  /** First rule `root`. */
  | { readonly kind: 'ebnf'; readonly grammar: string }
  | { readonly kind: 'regex'; readonly regex: string }
  /** As JSON text. */
  | { readonly kind: 'structural-tag'; readonly tag: string }
  /** The rest of what has a form, whose beginning was said already. */
  | { readonly kind: 'begun'; readonly form: GrammarSpec; readonly prefix: string }
  /** Calls of functions, or else, where `mode` is `auto`, text or the answer's own form. */
  | {
      readonly kind: 'tool-calls';
      readonly tools: readonly ToolGrammar[];
      readonly mode: 'auto' | 'required';
      /** More than one call is allowed. */
      readonly parallel: boolean;
      readonly otherwise: GrammarSpec | undefined;
    };

/** A call of one function: the text before its arguments, what they are, and the text after them. */
export interface ToolGrammar {
  readonly begin: string;
  readonly parameters: JsonSchema;
  readonly strict: boolean;
  readonly end: string;
}
