import { css } from 'lit';

export const loadPanelStyles = css`
  :host {
    display: block;
    inline-size: min(100%, 36rem);
    margin: auto;
  }

  .panel {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    justify-items: center;
    gap: 14px;
    text-align: center;
    padding-block: var(--autoglm-space-l);
  }

  /* Below a conversation: one card instead of a whole page. */
  :host([compact]) {
    inline-size: 100%;
    max-inline-size: var(--autoglm-content-width);
  }

  :host([compact]) .panel {
    grid-template-columns: minmax(0, 1fr) auto;
    justify-items: start;
    align-items: center;
    gap: 8px 18px;
    margin-block: var(--autoglm-space-s);
    padding: 14px 18px;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-l);
    background: var(--autoglm-surface);
    text-align: start;
  }

  :host([compact]) :is(.emblem, .facts, .steps, .panel > slot) {
    display: none;
  }

  :host([compact]) h2 {
    font-size: var(--autoglm-font-size-l);
  }

  :host([compact]) .bar {
    grid-column: 1 / -1;
    max-inline-size: none;
    order: -1;
  }

  :host([compact]) .failure {
    justify-items: start;
    gap: 4px;
  }

  :host([compact]) .advice {
    padding: 0;
    padding-inline-start: 1.4em;
    border: 0;
    background: none;
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-s);
    gap: 2px;
  }

  @container chat (max-inline-size: 34rem) {
    :host([compact]) .panel {
      grid-template-columns: minmax(0, 1fr);
      justify-items: stretch;
    }
  }

  h2 {
    margin: 0;
    font-size: var(--autoglm-font-size-xl);
    font-weight: 680;
    letter-spacing: -0.02em;
    line-height: 1.25;
    text-wrap: balance;
  }

  .lead {
    margin: 0;
    max-inline-size: 26rem;
    color: var(--autoglm-muted);
    text-wrap: balance;
  }

  .figures {
    font-variant-numeric: tabular-nums;
  }

  .emblem {
    display: grid;
    place-items: center;
    inline-size: 60px;
    block-size: 60px;
    border-radius: 20px;
    color: var(--autoglm-mark-ink);
    background: color-mix(in srgb, var(--autoglm-mark) 14%, transparent);
  }

  .emblem .icon {
    inline-size: 30px;
    block-size: 30px;
  }

  .emblem.bad {
    color: var(--autoglm-bad);
    background: var(--autoglm-bad-soft);
  }

  .facts {
    display: grid;
    gap: 6px;
    inline-size: 100%;
    max-inline-size: 26rem;
    margin: 0;
    padding: 14px 18px;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-surface);
    font-size: var(--autoglm-font-size-s);
    text-align: start;
  }

  /* Each row shares its width anew, so that one long value does not narrow the names of all. */
  .fact {
    display: grid;
    grid-template-columns: minmax(0, auto) auto;
    justify-content: space-between;
    gap: 6px 14px;
  }

  .facts dd {
    margin: 0;
    min-inline-size: 0;
    color: var(--autoglm-muted);
    font-variant-numeric: tabular-nums;
    overflow-wrap: anywhere;
    text-align: end;
  }

  .facts .wide {
    grid-column: 1 / -1;
    display: grid;
    gap: 4px;
    text-align: start;
  }

  .bar {
    inline-size: 100%;
    max-inline-size: 30rem;
    block-size: 8px;
    border-radius: var(--autoglm-radius-full);
    background: var(--autoglm-hover);
    overflow: hidden;
  }

  .bar div {
    block-size: 100%;
    min-inline-size: 8px;
    border-radius: inherit;
    background: var(--autoglm-accent);
    transition: inline-size 0.3s ease-out;
  }

  .bar.unknown div {
    inline-size: 30% !important;
    animation: seek 1.4s ease-in-out infinite alternate;
  }

  @keyframes seek {
    to {
      margin-inline-start: 70%;
    }
  }

  .steps {
    display: flex;
    flex-wrap: wrap;
    justify-content: center;
    gap: 4px 16px;
    margin: 0;
    padding: 0;
    list-style: none;
    font-size: var(--autoglm-font-size-s);
    color: var(--autoglm-muted);
  }

  .steps li {
    display: inline-flex;
    align-items: center;
    gap: 3px;
  }

  .steps .icon {
    inline-size: 1rem;
    block-size: 1rem;
    color: var(--autoglm-accent);
  }

  .steps .current {
    color: var(--autoglm-text);
    font-weight: 600;
  }

  .choices {
    display: flex;
    flex-wrap: wrap;
    justify-content: center;
    gap: 0 4px;
  }

  .choices .button {
    padding-inline: 14px;
    font-size: var(--autoglm-font-size-s);
  }

  .advice {
    max-inline-size: 30rem;
  }

  .failure {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    justify-items: center;
    gap: 12px;
    inline-size: 100%;
  }

  .advice {
    display: grid;
    gap: 8px;
    margin: 0;
    padding: 14px 18px;
    padding-inline-start: 40px;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-surface);
    text-align: start;
    overflow-wrap: anywhere;
  }

  .advice li::marker {
    color: var(--autoglm-muted);
    font-variant-numeric: tabular-nums;
  }

  details {
    max-inline-size: 100%;
    font-size: var(--autoglm-font-size-s);
    color: var(--autoglm-muted);
  }

  summary {
    min-block-size: 44px;
    align-content: center;
    cursor: pointer;
  }

  .technical {
    margin: 0;
    overflow-wrap: anywhere;
    text-align: start;
  }

  .technical code {
    font-family: var(--autoglm-font-mono);
    padding: 1px 6px;
    border-radius: 5px;
    background: var(--autoglm-raised);
  }

  @container chat (max-inline-size: 26rem) {
    :host(:not([compact])) .panel {
      gap: 10px;
      padding-block: 4px;
    }

    .emblem {
      inline-size: 48px;
      block-size: 48px;
      border-radius: 16px;
    }

    .facts {
      padding: 12px 14px;
    }

    .dot {
      display: none;
    }

    .lead .note {
      display: block;
    }

    .choices .button {
      padding-inline: 9px;
    }
  }

  @media (forced-colors: active) {
    .bar {
      outline: 1px solid CanvasText;
    }

    .bar div {
      background: Highlight;
      forced-color-adjust: none;
    }
  }
`;
