import { LitElement, html } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { controlStyles } from './controls.styles.ts';
import { MarkdownSplitter } from './markdown-blocks.ts';
import type { MarkdownBlock } from './markdown-blocks.ts';
import { markdownStyles } from './markdown.styles.ts';
import { sanitizeHtml } from './sanitize-html.ts';
import type { Localizer } from './strings/localizer.ts';

/** More of a block without line breaks is not laid out; copying the answer gives all of it. */
const MOST_PLAIN_CHARACTERS = 100_000;

/**
 * @summary Untrusted Markdown that may still grow: sanitised, rendered block by block, with code to copy.
 *
 * @csspart markdown - The blocks.
 */
@customElement('autoglm-markdown')
export class AutoglmMarkdown extends LitElement {
  static override styles = [controlStyles, markdownStyles];

  /** The Markdown source. */
  @property({ attribute: false }) text = '';
  @property({ attribute: false }) words!: Localizer;

  readonly #splitter = new MarkdownSplitter();
  // A settled block keeps its identity, and so its nodes: only the end of the text is built again.
  readonly #nodes = new WeakMap<MarkdownBlock, Node>();

  override render(): TemplateResult {
    const nodes = this.#splitter.split(this.text).map((block) => this.#nodeOf(block));
    return html`<div part="markdown" class="markdown" @click=${this.#onClick}>${nodes}</div>`;
  }

  #nodeOf(block: MarkdownBlock): Node {
    const known = this.#nodes.get(block);
    if (known !== undefined) return known;
    const node = block.html === null ? createPlainBlock(block.source) : this.#createBlock(block.html);
    this.#nodes.set(block, node);
    return node;
  }

  #createBlock(source: string): HTMLElement {
    const element = document.createElement('div');
    element.dir = 'auto';
    element.append(sanitizeHtml(source));
    for (const code of element.querySelectorAll('pre')) this.#addCodeBar(code);
    for (const table of element.querySelectorAll('table')) makeScrollable(table);
    return element;
  }

  #addCodeBar(block: HTMLPreElement): void {
    const code = block.querySelector('code');
    const language = /^language-([\w+#.-]{1,20})/.exec(code?.className ?? '')?.[1] ?? '';
    code?.removeAttribute('class');
    const bar = document.createElement('div');
    bar.className = 'code-bar';
    const name = document.createElement('span');
    name.textContent = language;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy-code';
    button.textContent = this.words.say('copyCode');
    bar.append(name, button);
    const figure = document.createElement('figure');
    figure.className = 'code';
    figure.dir = 'ltr';
    block.tabIndex = 0;
    block.replaceWith(figure);
    figure.append(bar, block);
  }

  #onClick = async (event: Event): Promise<void> => {
    const button = event.target;
    if (!(button instanceof HTMLButtonElement) || !button.matches('.copy-code')) return;
    const code = button.closest('figure')?.querySelector('pre')?.textContent ?? '';
    const copied = await navigator.clipboard.writeText(code).then(
      () => true,
      () => false,
    );
    button.textContent = this.words.say(copied ? 'copied' : 'copyFailed');
    setTimeout(() => (button.textContent = this.words.say('copyCode')), 2000);
  };
}

function createPlainBlock(source: string): HTMLElement {
  const element = document.createElement('div');
  element.dir = 'auto';
  element.className = 'plain';
  element.textContent =
    source.length > MOST_PLAIN_CHARACTERS ? `${source.slice(0, MOST_PLAIN_CHARACTERS)}…` : source;
  return element;
}

/** A wide table scrolls by itself; the page never does. */
function makeScrollable(table: HTMLTableElement): void {
  const box = document.createElement('div');
  box.className = 'table';
  box.tabIndex = 0;
  table.replaceWith(box);
  box.append(table);
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-markdown': AutoglmMarkdown;
  }
}
