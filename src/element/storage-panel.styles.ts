import { css } from 'lit';

export const storagePanelStyles = css`
  .use {
    display: grid;
    gap: 8px;
    margin: 0 14px 10px;
    padding: 12px 14px;
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-raised);
    font-size: var(--autoglm-font-size-s);
    color: var(--autoglm-muted);
  }

  .use p {
    margin: 0;
  }

  .use .bytes {
    color: var(--autoglm-text);
    font-size: var(--autoglm-font-size);
    font-variant-numeric: tabular-nums;
  }

  .name {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .model {
    flex: 1;
    display: grid;
    min-inline-size: 0;
    padding: 8px 10px;
  }

  .kept {
    font-size: var(--autoglm-font-size-xs);
    color: var(--autoglm-muted);
    font-variant-numeric: tabular-nums;
  }

  .button.danger {
    flex: none;
    color: var(--autoglm-bad);
    font-size: var(--autoglm-font-size-s);
  }

  .told {
    margin: 0;
    font-size: var(--autoglm-font-size-s);
    color: var(--autoglm-muted);
  }

  .told:empty {
    display: none;
  }
`;
