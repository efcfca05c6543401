import { css } from 'lit';

export const userMessageStyles = css`
  :host {
    display: block;
    container-type: inline-size;
  }

  .message {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    justify-items: end;
    gap: var(--autoglm-space-s);
  }

  .said {
    display: flex;
    flex-direction: column;
    align-items: flex-end;
    max-inline-size: 100%;
  }

  /* Beside the bubble the buttons take no height. */
  @container (min-inline-size: 30rem) {
    .said {
      flex-direction: row-reverse;
      align-items: center;
      gap: var(--autoglm-space-xs);
      max-inline-size: 88%;
    }

    .said .turn-actions {
      flex-wrap: nowrap;
      margin: -6px 0;
    }
  }

  .bubble {
    max-inline-size: 100%;
    min-inline-size: 0;
    padding: 10px 16px;
    border-radius: var(--autoglm-radius-l);
    border-end-end-radius: 6px;
    background: var(--autoglm-accent-soft);
    white-space: pre-wrap;
    overflow-wrap: anywhere;
    unicode-bidi: isolate;
  }

  .images {
    display: flex;
    flex-wrap: wrap;
    justify-content: flex-end;
    align-items: flex-end;
    gap: var(--autoglm-space-s);
  }

  .images .thumbnail {
    inline-size: 56px;
    block-size: 88px;
  }

  .app {
    padding: 2px 10px;
    border-radius: var(--autoglm-radius-full);
    border: 1px solid var(--autoglm-line);
    color: var(--autoglm-muted);
    font-size: var(--autoglm-font-size-xs);
    overflow-wrap: anywhere;
  }

  .turn-actions {
    justify-content: flex-end;
    margin-block: -4px -10px;
    margin-inline-end: -10px;
  }

  @media (hover: hover) {
    .turn-actions .icon-button {
      opacity: 0;
    }

    .message:is(:hover, :focus-within) .turn-actions .icon-button,
    .branches .icon-button {
      opacity: 1;
    }
  }

  .editor {
    inline-size: min(100%, 36rem);
    display: grid;
    gap: var(--autoglm-space-s);
    padding: var(--autoglm-space-m);
    border-radius: var(--autoglm-radius-l);
    background: var(--autoglm-accent-soft);
  }

  .editor textarea {
    resize: vertical;
    field-sizing: content;
    min-block-size: 3.4em;
    max-block-size: 40vh;
    padding: 8px 10px;
    border: 1px solid var(--autoglm-line-strong);
    border-radius: var(--autoglm-radius-s);
    background: var(--autoglm-surface);
  }

  .editor-actions {
    display: flex;
    justify-content: flex-end;
    flex-wrap: wrap;
    gap: var(--autoglm-space-s);
  }
`;
