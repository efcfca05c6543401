import { css } from 'lit';

export const memoryBarStyles = css`
  .memory-bar {
    display: flex;
    gap: 2px;
    block-size: 8px;
    border-radius: var(--autoglm-radius-full);
    background: var(--autoglm-hover);
    overflow: hidden;
  }

  .memory-bar i {
    min-inline-size: 4px;
  }

  .memory-bar .weights {
    background: var(--autoglm-accent);
  }

  .memory-bar .cache {
    background: color-mix(in oklab, var(--autoglm-accent) 45%, var(--autoglm-surface));
  }

  .memory-bar .work {
    background: var(--autoglm-warn);
  }

  .memory-words {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0 16px;
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-xs);
  }

  .memory-note {
    color: var(--autoglm-text);
  }

  .given-up {
    display: grid;
    gap: 2px;
    margin: 0;
    padding: 0;
    list-style: none;
    color: var(--autoglm-warn);
    font-size: var(--autoglm-font-size-xs);
  }

  .given-up .saved {
    color: var(--autoglm-muted);
    font-variant-numeric: tabular-nums;
  }

  @media (forced-colors: active) {
    .memory-bar i {
      forced-color-adjust: none;
      background: Highlight;
    }
  }
`;
