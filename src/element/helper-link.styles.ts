import { css } from 'lit';

export const helperLinkStyles = css`
  :host {
    display: block;
    inline-size: 100%;
    max-inline-size: 26rem;
    text-align: start;
  }

  .card {
    display: grid;
    gap: 12px;
    padding: 14px 18px;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-l);
    background: var(--autoglm-surface);
  }

  p {
    margin: 0;
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-s);
    text-wrap: pretty;
  }

  .prompt {
    color: var(--autoglm-text);
  }

  .fault {
    color: var(--autoglm-bad);
  }

  code {
    font-family: var(--autoglm-font-mono);
    overflow-wrap: anywhere;
  }

  .button {
    justify-self: start;
  }

  form {
    display: flex;
    flex-wrap: wrap;
    align-items: end;
    gap: 8px;
    margin-block-start: 8px;
  }

  label {
    display: grid;
    gap: 4px;
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-s);
  }

  input {
    inline-size: 9em;
    min-block-size: 44px;
    padding: 6px 10px;
    border: 1px solid var(--autoglm-line-strong);
    border-radius: var(--autoglm-radius-s);
    background: var(--autoglm-raised);
    font-variant-numeric: tabular-nums;
    letter-spacing: 0.2em;
  }

  summary {
    min-block-size: 44px;
    align-content: center;
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-s);
    cursor: pointer;
  }
`;
