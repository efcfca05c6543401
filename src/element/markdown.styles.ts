import { css } from 'lit';

export const markdownStyles = css`
  :host {
    display: block;
    min-inline-size: 0;
    /* Bidirectional control characters in an answer must not reorder what is around it. */
    unicode-bidi: isolate;
    overflow-wrap: anywhere;
  }

  .markdown {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: 0.7em;
    /* Stacked combining marks stay inside the answer. */
    overflow: clip;
    overflow-clip-margin: 4px;
  }

  .markdown > div {
    unicode-bidi: isolate;
  }

  .plain {
    white-space: pre-wrap;
  }

  p,
  ul,
  ol,
  blockquote,
  h1,
  h2,
  h3,
  h4,
  h5,
  h6,
  figure,
  pre {
    margin: 0;
  }

  h1,
  h2,
  h3,
  h4,
  h5,
  h6 {
    font-size: var(--autoglm-font-size-l);
    font-weight: 650;
    letter-spacing: -0.01em;
    line-height: 1.35;
    margin-block-start: 0.3em;
  }

  ul,
  ol {
    padding-inline-start: 1.5em;
  }

  li + li {
    margin-block-start: 0.25em;
  }

  li > :is(ul, ol, p) {
    margin-block-start: 0.25em;
  }

  blockquote {
    padding-inline-start: var(--autoglm-space-m);
    border-inline-start: 3px solid var(--autoglm-line);
    color: var(--autoglm-muted);
  }

  hr {
    inline-size: 100%;
    border: 0;
    border-block-start: 1px solid var(--autoglm-line);
  }

  a {
    color: var(--autoglm-accent);
    text-underline-offset: 0.2em;
  }

  code {
    font-family: var(--autoglm-font-mono);
    font-size: 0.9em;
    padding: 0.12em 0.35em;
    border-radius: 5px;
    background: var(--autoglm-raised);
  }

  .code {
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-m);
    overflow: hidden;
    background: var(--autoglm-surface);
  }

  .code-bar {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding-inline: var(--autoglm-space-m) var(--autoglm-space-xs);
    background: var(--autoglm-raised);
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-xs);
  }

  .copy-code {
    min-block-size: 44px;
    min-inline-size: 44px;
    margin-block: -4px;
    padding-inline: var(--autoglm-space-m);
    border-radius: var(--autoglm-radius-m);
  }

  .copy-code:hover {
    color: var(--autoglm-text);
  }

  .copy-code:focus-visible {
    outline-offset: -6px;
  }

  .code pre {
    padding: var(--autoglm-space-m);
    overflow-x: auto;
    tab-size: 2;
  }

  .code pre:focus-visible,
  .table:focus-visible {
    outline-offset: -2px;
  }

  .code code {
    padding: 0;
    background: none;
    overflow-wrap: normal;
  }

  .table {
    inline-size: fit-content;
    max-inline-size: 100%;
    overflow-x: auto;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-s);
  }

  table {
    border-collapse: collapse;
    font-size: var(--autoglm-font-size-s);
  }

  th,
  td {
    padding: 6px 14px;
    border-block-start: 1px solid var(--autoglm-line);
  }

  thead th {
    border-block-start: 0;
  }

  th:not([align]),
  td:not([align]) {
    text-align: start;
  }

  th {
    background: var(--autoglm-raised);
    font-weight: 600;
  }
`;
