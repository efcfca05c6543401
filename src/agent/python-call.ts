import { AutoglmError } from '../base/errors.ts';

/** A literal of Python: what `ast.literal_eval` takes, less bytes, sets and dictionaries. */
export type PythonLiteral = string | number | boolean | null | readonly PythonLiteral[];

/** A call with keyword arguments, such as `do(action="Tap", element=[500,400])`. */
export interface PythonCall {
  readonly name: string;
  readonly args: Readonly<Record<string, PythonLiteral>>;
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
const CODE_LENGTHS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const KEYWORDS: Readonly<Record<string, PythonLiteral>> = { True: true, False: false, None: null };
const NAME = /[\p{L}_][\p{L}\p{N}_]*/uy;
const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const SPACE = /\s*/y;
/** Deeper lists than this are no action but an attack on the stack. */
const MAX_DEPTH = 16;

/**
 * Parses a call with literal keyword arguments, without evaluating anything.
 *
 * Strings may hold raw line breaks, as the model writes them.
 *
 * @throws AutoglmError `action-invalid` with the place of the fault.
 */
export function parsePythonCall(text: string): PythonCall {
  return new CallParser(text).parse();
}

class CallParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): PythonCall {
    this.#match(SPACE);
    const name = this.#match(NAME) ?? this.#fail('a function name');
    this.#expect('(');
    const args: Record<string, PythonLiteral> = Object.create(null) as Record<string, PythonLiteral>;
    while (!this.#takes(')')) {
      const key = this.#match(NAME) ?? this.#fail('an argument name');
      if (key in args) this.#fail(`one argument ${key}`);
      this.#expect('=');
      args[key] = this.#parseLiteral(0);
      if (!this.#sees(')')) this.#expect(',');
    }
    if (this.#at < this.#text.length) this.#fail('the end');
    return { name, args };
  }

  #parseLiteral(depth: number): PythonLiteral {
    this.#match(SPACE);
    const next = this.#text[this.#at] ?? this.#fail('a value');
    if (next === '"' || next === "'") return this.#parseString(next);
    if (next === '[') return this.#parseItems(']', depth + 1);
    if (next === '(') return this.#parseItems(')', depth + 1);
    const number = this.#match(NUMBER);
    if (number !== undefined) return Number(number);
    const word = this.#match(NAME);
    return word !== undefined && Object.hasOwn(KEYWORDS, word) ? KEYWORDS[word]! : this.#fail('a literal');
  }

  #parseItems(end: ']' | ')', depth: number): PythonLiteral[] {
    if (depth > MAX_DEPTH) this.#fail(`at most ${MAX_DEPTH} lists in one another`);
    this.#at++;
    const items: PythonLiteral[] = [];
    while (!this.#takes(end)) {
      items.push(this.#parseLiteral(depth));
      if (!this.#sees(end)) this.#expect(',');
    }
    return items;
  }

  #parseString(quote: string): string {
    let value = '';
    this.#at++;
    for (;;) {
      const character = this.#text[this.#at++] ?? this.#fail(`the closing ${quote}`);
      if (character === quote) break;
      value += character === '\\' ? this.#parseEscape() : character;
    }
    this.#match(SPACE);
    return value;
  }

  // As in Python, an unknown escape stays as it is, backslash included.
  #parseEscape(): string {
    const letter = this.#text[this.#at++] ?? this.#fail('an escape');
    const simple = SIMPLE_ESCAPES[letter];
    if (simple !== undefined) return simple;
    const length = CODE_LENGTHS[letter];
    if (length === undefined) return `\\${letter}`;
    const digits = this.#text.slice(this.#at, this.#at + length);
    const code = /^[\da-f]+$/i.test(digits) && digits.length === length ? Number.parseInt(digits, 16) : NaN;
    if (!(code <= 0x10ffff)) this.#fail(`${length} hexadecimal digits`);
    this.#at += length;
    return String.fromCodePoint(code);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    if (pattern !== SPACE) this.#match(SPACE);
    return found;
  }

  #sees(character: string): boolean {
    this.#match(SPACE);
    return this.#text[this.#at] === character;
  }

  #takes(character: string): boolean {
    if (!this.#sees(character)) return false;
    this.#at++;
    this.#match(SPACE);
    return true;
  }

  #expect(character: string): void {
    if (!this.#takes(character)) this.#fail(character);
  }

  #fail(limit: string): never {
    const found = this.#text.slice(this.#at, this.#at + 20) || 'the end';
    throw new AutoglmError('action-invalid', `Action text has ${found} at ${this.#at}; expected ${limit}.`, {
      value: found,
      limit,
      cure: 'Ask the model again.',
    });
  }
}
