import { css } from 'lit';

export const chatStyles = css`
  :host {
    display: block;
    block-size: 42rem;
    min-inline-size: 0;
    contain: layout;
    background: var(--autoglm-background);
    color: var(--autoglm-text);
    font: var(--autoglm-font-size) / var(--autoglm-line-height) var(--autoglm-font);
    -webkit-text-size-adjust: 100%;
  }

  .chat {
    position: relative;
    display: grid;
    grid-template: auto minmax(0, 1fr) auto / minmax(0, 1fr);
    block-size: 100%;
    border-radius: inherit;
    overflow: clip;
    container: chat / inline-size;
  }

  header {
    display: flex;
    align-items: center;
    gap: 2px var(--autoglm-space-s);
    padding: 4px 8px;
    border-block-end: 1px solid var(--autoglm-line);
    background: var(--autoglm-surface);
    min-inline-size: 0;
  }

  header > :first-child:not(.icon-button),
  header > slot[name='header']:first-child::slotted(*) {
    margin-inline-start: 10px;
  }

  ::slotted([slot='header']) {
    min-inline-size: 0;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  /* A heading of the page's own looks as the name does. */
  ::slotted(:is(h1, h2, h3)[slot='header']) {
    margin-block: 0;
    font-size: var(--autoglm-font-size-l);
    font-weight: 680;
    letter-spacing: -0.015em;
  }

  .name {
    font-size: var(--autoglm-font-size-l);
    font-weight: 680;
    letter-spacing: -0.015em;
    white-space: nowrap;
    min-inline-size: 0;
    overflow: hidden;
    text-overflow: ellipsis;
  }

  .model {
    min-inline-size: 0;
    padding: 3px 10px;
    border-radius: var(--autoglm-radius-full);
    background: var(--autoglm-raised);
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-xs);
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .model:empty {
    display: none;
  }

  .grow {
    flex: 1;
  }

  autoglm-backend-badge {
    flex: 0 1 auto;
    min-inline-size: 44px;
  }

  @container chat (max-inline-size: 34rem) {
    .model {
      display: none;
    }
  }

  .body {
    display: grid;
    grid-template: minmax(0, 1fr) / minmax(0, 1fr);
    grid-auto-rows: auto;
    min-block-size: 0;
  }

  .panel-scroller {
    display: grid;
    overflow: auto;
    padding: var(--autoglm-space-m) var(--autoglm-space-l);
    scrollbar-width: thin;
    scrollbar-color: var(--autoglm-line-strong) transparent;
  }

  .body > autoglm-load-panel {
    max-block-size: 60vh;
    padding-inline: var(--autoglm-space-m);
    overflow: auto;
  }

  footer {
    padding: 8px var(--autoglm-space-m) 6px;
    padding-block-end: max(6px, env(safe-area-inset-bottom));
    background: var(--autoglm-background);
  }

  .column {
    max-inline-size: var(--autoglm-content-width);
    margin-inline: auto;
  }

  .interruption {
    display: flex;
    gap: 8px;
    align-items: start;
    margin: 0 0 8px;
    color: var(--autoglm-warn);
    font-size: var(--autoglm-font-size-s);
  }

  .hints {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0 14px;
    padding: 6px 10px 0;
    font-size: var(--autoglm-font-size-xs);
    color: var(--autoglm-muted);
    font-variant-numeric: tabular-nums;
  }

  .gauge {
    display: inline-flex;
    align-items: center;
    gap: 6px;
  }

  .in-short {
    display: none;
  }

  @container chat (max-inline-size: 26rem) {
    .in-full {
      display: none;
    }

    .in-short {
      display: inline;
    }
  }

  .ring {
    inline-size: 14px;
    block-size: 14px;
    rotate: -90deg;
    fill: none;
    stroke: var(--autoglm-line);
    stroke-width: 2.6;
  }

  .ring .used {
    stroke: var(--autoglm-accent);
  }

  .ring.full .used {
    stroke: var(--autoglm-warn);
  }

  .drop {
    position: absolute;
    inset: 8px;
    z-index: 2;
    display: grid;
    place-content: center;
    justify-items: center;
    gap: 10px;
    border: 2px dashed var(--autoglm-accent);
    border-radius: var(--autoglm-radius-l);
    background: color-mix(in srgb, var(--autoglm-accent-soft) 92%, transparent);
    color: var(--autoglm-accent);
    font-size: var(--autoglm-font-size-l);
    font-weight: 600;
    pointer-events: none;
  }

  .drop .icon {
    inline-size: 2.5rem;
    block-size: 2.5rem;
  }
`;
