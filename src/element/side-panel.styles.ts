import { css } from 'lit';

/** A dialog along the start of the element: the history, the kept models. */
export const sidePanelStyles = css`
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
