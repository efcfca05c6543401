import { css } from 'lit';

/** What every part shares: box model, icons, buttons with 44 px targets, focus ring, hidden text. */
export const controlStyles = css`
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }

  :host([hidden]),
  [hidden] {
    display: none !important;
  }

  button,
  input,
  textarea,
  select {
    font: inherit;
    color: inherit;
    letter-spacing: inherit;
  }

  button {
    margin: 0;
    border: 0;
    background: none;
    cursor: pointer;
    touch-action: manipulation;
    -webkit-tap-highlight-color: transparent;
  }

  button:disabled {
    cursor: default;
    opacity: 0.45;
  }

  :focus-visible {
    outline: 2px solid var(--autoglm-accent);
    outline-offset: 2px;
  }

  .icon {
    inline-size: 1.25rem;
    block-size: 1.25rem;
    flex: none;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.8;
    stroke-linecap: round;
    stroke-linejoin: round;
  }

  :host(:dir(rtl)) .flip-in-rtl .icon {
    transform: scaleX(-1);
  }

  /* The target is 44 px; what is painted is smaller. */
  .icon-button {
    display: inline-grid;
    place-items: center;
    flex: none;
    inline-size: 44px;
    block-size: 44px;
    padding: 5px;
    border-radius: calc(var(--autoglm-radius-s) + 7px);
    background-clip: content-box;
    color: var(--autoglm-muted);
    transition:
      background-color 0.15s,
      color 0.15s;
  }

  .icon-button:hover:not(:disabled),
  .icon-button[aria-expanded='true'] {
    background-color: var(--autoglm-hover);
    color: var(--autoglm-text);
  }

  .icon-button:focus-visible {
    outline-offset: -5px;
  }

  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: var(--autoglm-space-s);
    min-block-size: 44px;
    padding: 8px 18px;
    border-radius: var(--autoglm-radius-m);
    border: 1px solid var(--autoglm-line);
    background: var(--autoglm-surface);
    font-weight: 550;
    transition: background-color 0.15s;
  }

  .button:hover:not(:disabled) {
    background: var(--autoglm-raised);
  }

  .button.primary {
    border-color: transparent;
    background: var(--autoglm-accent);
    color: var(--autoglm-accent-ink);
  }

  .button.primary:hover:not(:disabled) {
    background: color-mix(in oklab, var(--autoglm-accent) 88%, var(--autoglm-text));
  }

  .button.quiet {
    border-color: transparent;
    background: none;
    color: var(--autoglm-accent);
  }

  .button.quiet:hover:not(:disabled) {
    background: var(--autoglm-accent-soft);
  }

  .visually-hidden {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    margin: -1px;
    padding: 0;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
    border: 0;
  }

  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation-duration: 0.01ms !important;
      animation-iteration-count: 1 !important;
      transition-duration: 0.01ms !important;
      scroll-behavior: auto !important;
    }
  }

  @media (forced-colors: active) {
    .button,
    .icon-button {
      border: 1px solid ButtonText;
    }

    .button.primary {
      background: ButtonText;
      color: ButtonFace;
      forced-color-adjust: none;
    }

    :focus-visible {
      outline-color: Highlight;
    }
  }
`;
