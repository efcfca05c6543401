import { css } from 'lit';

export const imageViewerStyles = css`
  :host {
    display: contents;
  }

  dialog {
    inline-size: 100vw;
    block-size: 100dvh;
    max-inline-size: none;
    max-block-size: none;
    margin: 0;
    padding: 0;
    border: 0;
    background: color-mix(in srgb, var(--autoglm-background) 88%, transparent);
    backdrop-filter: blur(14px);
    color: var(--autoglm-text);
  }

  dialog[open] {
    display: grid;
    grid-template-rows: auto minmax(0, 1fr);
  }

  dialog::backdrop {
    background: none;
  }

  .tools {
    display: flex;
    justify-content: flex-end;
    gap: var(--autoglm-space-s);
    padding: var(--autoglm-space-m);
  }

  .stage {
    display: grid;
    place-items: safe center;
    overflow: auto;
    padding: 0 var(--autoglm-space-l) var(--autoglm-space-l);
  }

  .stage:focus-visible {
    outline-offset: -3px;
  }

  autoglm-screenshot {
    inline-size: min(100%, calc((100dvh - 108px) * var(--image-ratio)));
  }

  .zoomed autoglm-screenshot {
    inline-size: max(var(--image-width), 100%);
  }
`;
