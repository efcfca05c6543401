import { css } from 'lit';

export const historyPanelStyles = css`
  .search {
    display: flex;
    align-items: center;
    gap: 8px;
    margin: 0 14px 8px;
    padding-inline: 12px;
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-raised);
    color: var(--autoglm-muted);
  }

  .search input {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 44px;
    border: 0;
    background: none;
    color: var(--autoglm-text);
  }

  .search:focus-within {
    outline: 2px solid var(--autoglm-accent);
  }

  .search input:focus-visible {
    outline: none;
  }

  .open {
    flex: 1;
    display: grid;
    min-inline-size: 0;
    min-block-size: 52px;
    align-content: center;
    padding: 6px 10px;
    border-radius: var(--autoglm-radius-s);
    text-align: start;
  }

  .title {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .date {
    font-size: var(--autoglm-font-size-xs);
    color: var(--autoglm-muted);
  }

  .rename {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 44px;
    margin: 4px;
    padding: 4px 10px;
    border: 1px solid var(--autoglm-line-strong);
    border-radius: var(--autoglm-radius-s);
    background: var(--autoglm-background);
  }
`;
