import { css } from 'lit';

export const historyPanelStyles = css`
  :host {
    display: contents;
  }

  dialog {
    position: fixed;
    inset: auto;
    top: var(--area-top, 0);
    left: var(--area-left, 0);
    inline-size: min(22rem, var(--area-width, 100vw));
    block-size: var(--area-height, 100dvh);
    max-block-size: none;
    margin: 0;
    padding: 0;
    border: 0;
    border-inline-end: 1px solid var(--autoglm-line);
    background: var(--autoglm-surface);
    color: var(--autoglm-text);
    box-shadow: var(--autoglm-shadow);
  }

  dialog:dir(rtl) {
    left: auto;
    right: var(--area-right, 0);
  }

  dialog[open] {
    animation: arrive 0.16s ease-out;
  }

  @keyframes arrive {
    from {
      opacity: 0;
      translate: -12px 0;
    }
  }

  dialog::backdrop {
    background: #00000052;
  }

  .panel {
    display: grid;
    grid-template: auto auto minmax(0, 1fr) auto / minmax(0, 1fr);
    block-size: 100%;
  }

  header {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding: 6px 8px 6px 18px;
    padding-inline: 18px 8px;
  }

  h2 {
    margin: 0;
    font-size: var(--autoglm-font-size-l);
    font-weight: 650;
  }

  .search {
    display: flex;
    align-items: center;
    gap: 8px;
    margin: 0 14px 8px;
    padding-inline: 12px;
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-raised);
    color: var(--autoglm-muted);
  }

  .search input {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 44px;
    border: 0;
    background: none;
    color: var(--autoglm-text);
  }

  .search:focus-within {
    outline: 2px solid var(--autoglm-accent);
  }

  .search input:focus-visible {
    outline: none;
  }

  ul {
    margin: 0;
    padding: 0 8px;
    overflow: auto;
    list-style: none;
    scrollbar-width: thin;
  }

  li {
    display: flex;
    align-items: center;
    border-radius: var(--autoglm-radius-s);
  }

  li:hover,
  li.current {
    background: var(--autoglm-raised);
  }

  .open {
    flex: 1;
    display: grid;
    min-inline-size: 0;
    min-block-size: 52px;
    align-content: center;
    padding: 6px 10px;
    border-radius: var(--autoglm-radius-s);
    text-align: start;
  }

  .title {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .date {
    font-size: var(--autoglm-font-size-xs);
    color: var(--autoglm-muted);
  }

  .rename {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 44px;
    margin: 4px;
    padding: 4px 10px;
    border: 1px solid var(--autoglm-line-strong);
    border-radius: var(--autoglm-radius-s);
    background: var(--autoglm-background);
  }

  .none {
    margin: 0;
    padding: 24px 18px;
    color: var(--autoglm-muted);
  }

  footer {
    display: grid;
    gap: 8px;
    padding: 12px 14px 14px;
    border-block-start: 1px solid var(--autoglm-line);
  }

  .fault {
    margin: 0;
    color: var(--autoglm-bad);
    font-size: var(--autoglm-font-size-s);
    overflow-wrap: anywhere;
  }
`;
