import { css } from 'lit';

/** What turns of both sides share: the row of buttons and figures under them. */
export const turnStyles = css`
  .turn-actions {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    min-block-size: 44px;
    font-size: var(--autoglm-font-size-xs);
    color: var(--autoglm-muted);
    font-variant-numeric: tabular-nums;
  }

  .icon-button.small {
    padding: 6px;
  }

  .icon-button.small .icon {
    inline-size: 1.0625rem;
    block-size: 1.0625rem;
  }

  .branches {
    display: inline-flex;
    align-items: center;
  }

  .branches .icon-button {
    margin-inline: -4px;
  }

  .branch-count {
    min-inline-size: 1.8em;
    text-align: center;
  }

  .thumbnail {
    display: block;
    padding: 0;
    border-radius: 10px;
    overflow: hidden;
    outline: 1px solid var(--autoglm-line);
    background: var(--autoglm-raised);
    cursor: zoom-in;
  }

  .thumbnail:focus-visible {
    outline: 2px solid var(--autoglm-accent);
  }

  .thumbnail img {
    display: block;
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
    object-position: top;
  }
`;
