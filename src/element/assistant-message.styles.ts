import { css } from 'lit';

export const assistantMessageStyles = css`
  :host {
    display: block;
    container-type: inline-size;
  }

  p {
    margin: 0;
  }

  .message {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--autoglm-space-l) var(--autoglm-space-xl);
    align-items: start;
  }

  .answer {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--autoglm-space-m);
    min-inline-size: 0;
  }

  /* In a phone column the picture comes first, so that the answer is what stands at the end. */
  .screen {
    order: -1;
    inline-size: min(100%, 9.5rem);
    padding: 0;
    border-radius: var(--autoglm-radius-l);
    cursor: zoom-in;
    transition: transform 0.2s;
  }

  .screen:hover {
    transform: translateY(-2px);
  }

  @container (min-inline-size: 36rem) {
    .with-screen {
      grid-template-columns: minmax(0, 1fr) var(--autoglm-screenshot-width);
    }

    .screen {
      order: 0;
      inline-size: 100%;
    }
  }

  @container (max-inline-size: 26rem) {
    .figures {
      inline-size: 100%;
    }

    .grow {
      display: none;
    }

    .figures + .grow + * {
      margin-inline-start: -12px;
    }
  }

  .reasoning {
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-s);
  }

  summary {
    display: flex;
    align-items: center;
    gap: 6px;
    min-block-size: 44px;
    margin-block: -8px;
    border-radius: var(--autoglm-radius-s);
    cursor: pointer;
    list-style: none;
  }

  summary::-webkit-details-marker {
    display: none;
  }

  summary:hover {
    color: var(--autoglm-text);
  }

  .chevron {
    display: grid;
    margin-inline-start: -3px;
  }

  .chevron .icon {
    inline-size: 1rem;
    block-size: 1rem;
    transition: rotate 0.15s;
  }

  [open] > summary .chevron .icon {
    rotate: 90deg;
  }

  :host(:dir(rtl)) [open] > summary .chevron .icon {
    rotate: -90deg;
  }

  .reasoning-title {
    flex: none;
    font-weight: 550;
  }

  .reasoning-preview {
    overflow: hidden;
    white-space: nowrap;
    text-overflow: ellipsis;
  }

  .reasoning-text {
    margin-block-start: 6px;
    padding-inline-start: var(--autoglm-space-m);
    border-inline-start: 2px solid var(--autoglm-line);
    white-space: pre-wrap;
    overflow-wrap: anywhere;
    unicode-bidi: isolate;
  }

  .waiting {
    display: flex;
    align-items: center;
    gap: 10px;
    min-block-size: 44px;
    color: var(--autoglm-muted);
  }

  .dots {
    display: inline-flex;
    gap: 4px;
  }

  .dots i {
    inline-size: 6px;
    block-size: 6px;
    border-radius: 50%;
    background: currentColor;
    animation: breathe 1.2s ease-in-out infinite;
  }

  .dots i:nth-child(2) {
    animation-delay: 0.15s;
  }

  .dots i:nth-child(3) {
    animation-delay: 0.3s;
  }

  @keyframes breathe {
    0%,
    70%,
    100% {
      opacity: 0.35;
    }
    35% {
      opacity: 1;
    }
  }

  /* Between two colours that are both readable, rather than fading. */
  .shimmer {
    color: var(--autoglm-muted);
    animation: shimmer 1.6s ease-in-out infinite;
  }

  @keyframes shimmer {
    50% {
      color: var(--autoglm-text);
    }
  }

  .done {
    display: inline-flex;
    align-items: center;
    gap: 6px;
    justify-self: start;
    padding: 3px 12px 3px 8px;
    border-radius: var(--autoglm-radius-full);
    background: var(--autoglm-accent-soft);
    color: var(--autoglm-accent);
    font-size: var(--autoglm-font-size-xs);
    font-weight: 600;
  }

  .done .icon {
    inline-size: 1rem;
    block-size: 1rem;
  }

  .note {
    display: flex;
    gap: var(--autoglm-space-s);
    padding: 8px 12px;
    border-radius: var(--autoglm-radius-s);
    background: var(--autoglm-raised);
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-s);
    overflow-wrap: anywhere;
  }

  .note.bad {
    background: var(--autoglm-bad-soft);
    color: var(--autoglm-bad);
  }

  .note .technical {
    display: block;
    font-size: var(--autoglm-font-size-xs);
  }

  .note .technical:empty {
    display: none;
  }

  .turn-actions {
    margin-block-start: -8px;
    margin-inline-end: -8px;
  }

  .figures {
    overflow-wrap: anywhere;
  }

  .grow {
    flex: 1;
  }
`;
