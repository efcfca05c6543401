import type { AddedToken } from './added-tokens.ts';

/** A stretch of text: a special token, or the text between two of them. */
export type TextPiece = { readonly token: AddedToken } | { readonly text: string };

/** Finds special tokens in text; of two that begin at one place, the longer wins. */
export class SpecialSplitter {
  readonly #byContent: ReadonlyMap<string, AddedToken>;
  readonly #pattern: RegExp | undefined;
  readonly #startPattern: RegExp | undefined;

  constructor(tokens: readonly AddedToken[]) {
    this.#byContent = new Map(tokens.map((token) => [token.content, token]));
    const contents = [...this.#byContent.keys()].toSorted((a, b) => b.length - a.length);
    if (contents.length === 0) return;
    const alternatives = contents.map(escapePattern).join('|');
    this.#pattern = new RegExp(`(${alternatives})`);
    this.#startPattern = new RegExp(`(?=${alternatives})[^]`, 'g');
  }

  /** Pieces in order; the white space that a token's `lstrip` and `rstrip` swallow is gone. */
  split(text: string): TextPiece[] {
    const parts = this.#pattern === undefined ? [text] : text.split(this.#pattern);
    return parts.flatMap((part, index): TextPiece[] => {
      const token = this.#byContent.get(part);
      if (token !== undefined) return [{ token }];
      const kept = strip(
        part,
        this.#byContent.get(parts[index - 1]!),
        this.#byContent.get(parts[index + 1]!),
      );
      return kept === '' ? [] : [{ text: kept }];
    });
  }

  /**
   * The text with a `shield` character in it wherever a special token could otherwise be found: inside each
   * one that the text spells, and at an edge where text of a neighbour could complete one. Text that spells
   * no part of a special token comes back as it was.
   */
  shield(text: string, shield: string): string {
    if (this.#startPattern === undefined) return text;
    const inside = text.replace(this.#startPattern, (character) => character + shield);
    const contents = [...this.#byContent.keys()];
    const head = contents.some((content) => beginsWithRest(text, content)) ? shield : '';
    const tail = contents.some((content) => endsWithBeginning(text, content)) ? shield : '';
    return head + inside + tail;
  }
}

function strip(text: string, before: AddedToken | undefined, behind: AddedToken | undefined): string {
  const started = before?.rstrip ? text.trimStart() : text;
  return behind?.lstrip ? started.trimEnd() : started;
}

function endsWithBeginning(text: string, content: string): boolean {
  return partLengths(content).some((length) => text.endsWith(content.slice(0, length)));
}

function beginsWithRest(text: string, content: string): boolean {
  return partLengths(content).some((length) => text.startsWith(content.slice(length)));
}

function partLengths(content: string): number[] {
  return Array.from({ length: content.length - 1 }, (_, index) => index + 1);
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
}
