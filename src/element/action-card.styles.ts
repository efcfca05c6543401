import { css } from 'lit';

export const actionCardStyles = css`
  .action-card {
    display: grid;
    grid-template-columns: auto minmax(0, 1fr);
    gap: var(--autoglm-space-m);
    align-items: start;
    padding: var(--autoglm-space-m) 14px;
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

  .action-words {
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
