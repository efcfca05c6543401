import { css } from 'lit';

export const actionCardStyles = css`
  .action-card {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr);
    gap: 14px;
    align-items: start;
    padding: 14px;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-surface);
  }

  .action-icon {
    display: grid;
    place-items: center;
    inline-size: 40px;
    block-size: 40px;
    border-radius: 12px;
    color: var(--autoglm-mark-ink);
    background: color-mix(in srgb, var(--autoglm-mark) 14%, transparent);
  }

  .loupe {
    position: relative;
    inline-size: 48px;
    block-size: 48px;
    border-radius: 50%;
    overflow: hidden;
    background: var(--autoglm-raised);
    box-shadow:
      0 0 0 2px var(--autoglm-surface),
      0 0 0 4px var(--autoglm-mark);
    /* Positions on a screenshot do not mirror with the text direction. */
    direction: ltr;
  }

  .loupe img {
    position: absolute;
    display: block;
    max-inline-size: none;
  }

  .action-words {
    align-self: center;
    display: grid;
    gap: 2px;
  }

  .action-words p {
    margin: 0;
  }

  .action-title {
    display: flex;
    flex-wrap: wrap;
    align-items: baseline;
    gap: 0 10px;
  }

  .action-title strong {
    font-weight: 650;
  }

  .action-detail {
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-s);
    font-variant-numeric: tabular-nums;
    overflow-wrap: anywhere;
  }

  .action-message {
    overflow-wrap: anywhere;
    color: var(--autoglm-warn);
  }

  .action-words code {
    font: var(--autoglm-font-size-xs) / 1.5 var(--autoglm-font-mono);
    color: var(--autoglm-muted);
    overflow-wrap: anywhere;
    text-align: start;
  }
`;
