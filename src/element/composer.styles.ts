import { css } from 'lit';

export const composerStyles = css`
  :host {
    display: block;
  }

  .composer {
    border-radius: calc(var(--autoglm-radius-l) + 4px);
    background: var(--autoglm-raised);
    outline: 1px solid transparent;
    transition: outline-color 0.15s;
  }

  .composer:has(textarea:focus-visible) {
    outline: 2px solid var(--autoglm-accent);
  }

  .row {
    display: flex;
    align-items: flex-end;
    padding: 6px;
  }

  textarea {
    flex: 1;
    min-inline-size: 0;
    resize: none;
    field-sizing: content;
    min-block-size: 44px;
    max-block-size: min(40vh, 15rem);
    padding: 11px 6px 9px;
    border: 0;
    background: none;
    line-height: 1.5;
  }

  textarea:focus-visible {
    outline: none;
  }

  textarea::placeholder,
  .app-field input::placeholder {
    color: var(--autoglm-muted);
    opacity: 1;
  }

  .send {
    display: grid;
    place-items: center;
    flex: none;
    inline-size: 44px;
    block-size: 44px;
    padding: 0;
    border-radius: var(--autoglm-radius-l);
    background: var(--autoglm-accent);
    color: var(--autoglm-accent-ink);
    transition:
      background-color 0.15s,
      color 0.15s,
      transform 0.1s;
  }

  .send:active:not(:disabled) {
    transform: scale(0.94);
  }

  .send:disabled {
    opacity: 1;
    background: var(--autoglm-hover);
    color: var(--autoglm-muted);
  }

  .send.stop {
    background: var(--autoglm-text);
    color: var(--autoglm-background);
  }

  .camera {
    display: none;
  }

  @media (pointer: coarse) {
    .camera {
      display: inline-grid;
    }
  }

  .attachments {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: var(--autoglm-space-s) var(--autoglm-space-m);
    padding: 10px 10px 0;
  }

  ul {
    display: flex;
    flex-wrap: wrap;
    gap: var(--autoglm-space-s);
    margin: 0;
    padding: 0;
    list-style: none;
    min-inline-size: 0;
  }

  .attachment {
    display: flex;
    align-items: center;
    gap: 10px;
    min-inline-size: 0;
    max-inline-size: 100%;
    padding: 6px;
    padding-inline-end: 0;
    border-radius: var(--autoglm-radius-m);
    border: 1px solid var(--autoglm-line);
    background: var(--autoglm-surface);
    animation: arrive 0.2s ease-out;
  }

  @keyframes arrive {
    from {
      opacity: 0;
      transform: translateY(4px);
    }
  }

  .attachment .thumbnail {
    inline-size: 38px;
    block-size: 60px;
    flex: none;
    cursor: default;
  }

  .attachment-facts {
    display: grid;
    min-inline-size: 0;
    font-size: var(--autoglm-font-size-xs);
    line-height: 1.45;
    color: var(--autoglm-muted);
    font-variant-numeric: tabular-nums;
  }

  .attachment-facts bdi {
    max-inline-size: 9rem;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    color: var(--autoglm-text);
  }

  .detail {
    display: inline-flex;
    align-items: center;
    gap: 8px;
    min-block-size: 44px;
    margin-block: -10px -8px;
    padding: 0;
    text-align: start;
    font-variant-numeric: tabular-nums;
  }

  .detail-name {
    padding: 1px 9px;
    border-radius: var(--autoglm-radius-full);
    border: 1px solid var(--autoglm-line-strong);
    color: var(--autoglm-text);
  }

  .detail[aria-pressed='true'] .detail-name {
    border-color: var(--autoglm-accent);
    background: var(--autoglm-accent-soft);
  }

  .app-field {
    display: flex;
    align-items: center;
    gap: var(--autoglm-space-s);
    min-inline-size: 0;
    font-size: var(--autoglm-font-size-s);
    color: var(--autoglm-muted);
  }

  .app-field span {
    flex: none;
  }

  .app-field input {
    min-inline-size: 0;
    inline-size: 10rem;
    min-block-size: 44px;
    padding: 4px 12px;
    border-radius: var(--autoglm-radius-m);
    border: 1px solid var(--autoglm-line-strong);
    background: var(--autoglm-surface);
    color: var(--autoglm-text);
  }

  .fault {
    margin: 0;
    padding: 10px 14px 0;
    font-size: var(--autoglm-font-size-s);
    color: var(--autoglm-bad);
    overflow-wrap: anywhere;
  }

  @media (forced-colors: active) {
    .composer {
      outline-color: CanvasText;
    }

    .send {
      border: 1px solid ButtonText;
    }
  }
`;
