import { Marked } from 'marked';
import type { Tokens, TokensList } from 'marked';

/** One top-level block of Markdown. */
export interface MarkdownBlock {
  /** The block's own source. */
  readonly source: string;
  /** HTML that still has to be sanitised; null where the block is shown as plain text. */
  readonly html: string | null;
}

/**
 * A block above this length is shown as plain text: inline parsing of hostile input (`[[[[...`) is
 * quadratic, and no readable paragraph is that long.
 */
export const PLAIN_TEXT_LENGTH = 20_000;

const marked = new Marked({ gfm: true, breaks: true, async: false });

marked.use({
  renderer: {
    // Raw HTML is shown as it was written, never interpreted.
    html: ({ text }) => escapeHtml(text),
    // An image would be fetched without being asked for; its address is offered as a link.
    image({ href, text, title }) {
      return `<a href="${escapeHtml(href)}" title="${escapeHtml(title ?? '')}">${escapeHtml(text || href)}</a>`;
    },
    // A form control has no use in an answer.
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
});

/**
 * Splits growing Markdown into blocks and parses only what can still change.
 *
 * Blocks before the last two are settled while text is appended: Markdown looks back at most one block
 * (a setext heading's underline, a lazy continuation, a list that goes on).
 */
export class MarkdownSplitter {
  #settled: MarkdownBlock[] = [];
  #settledSource = '';

  /** All blocks of the text, which usually is the last call's text with something appended. */
  split(text: string): readonly MarkdownBlock[] {
    if (!text.startsWith(this.#settledSource)) this.#reset();
    const tail = splitTail(text.slice(this.#settledSource.length));
    const settledCount = Math.max(0, tail.length - 2);
    for (const block of tail.slice(0, settledCount)) this.#settledSource += block.source;
    const blocks = [...this.#settled, ...tail];
    this.#settled = blocks.slice(0, this.#settled.length + settledCount);
    return blocks;
  }

  #reset(): void {
    this.#settled = [];
    this.#settledSource = '';
  }
}

function splitTail(text: string): MarkdownBlock[] {
  if (text === '') return [];
  if (longestLine(text) > PLAIN_TEXT_LENGTH) return [{ source: text, html: null }];
  const tokens = marked.lexer(text);
  return groupBlocks(tokens).map((group) => toBlock(group, tokens.links));
}

/** White space belongs to the block before it, so that the sources add up to the text. */
function groupBlocks(tokens: TokensList): Tokens.Generic[][] {
  const groups: Tokens.Generic[][] = [];
  for (const token of tokens) {
    const last = groups.at(-1);
    if (token.type === 'space' && last !== undefined) last.push(token);
    else groups.push([token]);
  }
  return groups;
}

function toBlock(group: Tokens.Generic[], links: TokensList['links']): MarkdownBlock {
  const source = group.map(({ raw }) => raw).join('');
  if (source.length > PLAIN_TEXT_LENGTH && group[0]?.type !== 'code') return { source, html: null };
  return { source, html: marked.parser(Object.assign(group, { links })) };
}

function longestLine(text: string): number {
  let longest = 0;
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    const lineEnd = end === -1 ? text.length : end;
    longest = Math.max(longest, lineEnd - start);
    start = lineEnd + 1;
  }
  return longest;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}
