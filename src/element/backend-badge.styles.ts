import { css } from 'lit';

export const backendBadgeStyles = css`
  :host {
    display: inline-flex;
    min-inline-size: 0;
  }

  .badge {
    display: inline-flex;
    align-items: center;
    gap: 7px;
    min-inline-size: 0;
    max-inline-size: 100%;
    min-block-size: 44px;
    padding: 8px 12px;
    border-radius: var(--autoglm-radius-full);
    /* The pill is lower than its target. */
    background: linear-gradient(var(--autoglm-raised), var(--autoglm-raised)) no-repeat center / 100% 28px;
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-xs);
    white-space: nowrap;
    clip-path: inset(8px 0 round 14px);
  }

  button.badge:hover {
    color: var(--autoglm-text);
  }

  button.badge:focus-visible {
    clip-path: none;
    outline-offset: -8px;
  }

  .badge i {
    flex: none;
    inline-size: 7px;
    block-size: 7px;
    border-radius: 50%;
    background: var(--autoglm-line-strong);
  }

  .ready i {
    background: var(--autoglm-accent);
  }

  .software i {
    background: var(--autoglm-warn);
  }

  .failed i {
    background: var(--autoglm-bad);
  }

  .loading i {
    background: var(--autoglm-accent);
    animation: blink 1s ease-in-out infinite alternate;
  }

  @keyframes blink {
    to {
      opacity: 0.25;
    }
  }

  .badge > :not(i) {
    min-inline-size: 0;
    overflow: hidden;
    text-overflow: ellipsis;
  }

  .badge > span {
    flex: 0 1 auto;
  }

  @container chat (max-inline-size: 34rem) {
    .adapter {
      display: none;
    }
  }

  .memory {
    font-variant-numeric: tabular-nums;
  }

  @container chat (max-inline-size: 52rem) {
    .memory {
      display: none;
    }
  }

  .popover {
    position: fixed;
    inset: auto;
    margin: 0;
    padding: 16px;
    overflow: auto;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-surface);
    color: var(--autoglm-text);
    box-shadow: var(--autoglm-shadow);
    font-size: var(--autoglm-font-size-s);
  }

  dl {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr);
    gap: 6px 16px;
    margin: 0 0 14px;
  }

  dt {
    color: var(--autoglm-muted);
  }

  dd {
    margin: 0;
    text-align: end;
    overflow-wrap: anywhere;
    font-variant-numeric: tabular-nums;
  }

  .popover .button {
    inline-size: 100%;
  }

  .popover .button + .button {
    margin-block-start: 8px;
  }

  .plan {
    display: grid;
    gap: 4px;
    margin-block-end: 14px;
  }

  .software-note {
    display: grid;
    gap: 8px;
    margin-block-end: 14px;
    padding: 12px;
    border-radius: var(--autoglm-radius-s);
    background: var(--autoglm-warn-soft);
    color: var(--autoglm-warn);
  }

  .software-note p {
    display: flex;
    gap: 8px;
    margin: 0;
  }

  .software-note ol {
    display: grid;
    gap: 6px;
    margin: 0;
    padding-inline-start: 1.4em;
  }
`;
