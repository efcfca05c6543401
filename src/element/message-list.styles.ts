import { css } from 'lit';

export const messageListStyles = css`
  :host {
    position: relative;
    display: grid;
    min-block-size: 0;
    container-type: size;
  }

  .scroller {
    overflow: hidden auto;
    overscroll-behavior: contain;
    scrollbar-gutter: stable;
    scrollbar-width: thin;
    scrollbar-color: var(--autoglm-line-strong) transparent;
  }

  @container (min-inline-size: 34rem) {
    .scroller {
      scrollbar-gutter: stable both-edges;
    }
  }

  .scroller:focus-visible {
    outline-offset: -3px;
  }

  .turns {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    align-content: start;
    max-inline-size: var(--autoglm-content-width);
    min-block-size: 100%;
    margin-inline: auto;
    padding: var(--autoglm-space-l) var(--autoglm-space-m);
  }

  .turn {
    /* Room for shadows and focus rings, which content-visibility cuts off at the edge. */
    padding: 6px 10px 16px;
    /* Turns out of sight cost nothing, however long the conversation is. */
    content-visibility: auto;
    contain-intrinsic-size: auto 12rem;
  }

  .turn.from-user {
    contain-intrinsic-size: auto 6rem;
  }

  .turn:last-child {
    content-visibility: visible;
  }

  .turns:has(> .empty) {
    align-content: safe center;
  }

  .empty {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    justify-items: center;
    gap: 10px;
    text-align: center;
  }

  h2 {
    margin: 0;
    font-size: var(--autoglm-font-size-xl);
    font-weight: 680;
    letter-spacing: -0.02em;
    line-height: 1.25;
    text-wrap: balance;
  }

  .empty p {
    margin: 0;
    max-inline-size: 30rem;
    color: var(--autoglm-muted);
    text-wrap: balance;
  }

  .examples {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 9.5rem), 11rem));
    justify-content: center;
    gap: var(--autoglm-space-m);
    inline-size: 100%;
    margin: var(--autoglm-space-l) 0 0;
    padding: 0;
    list-style: none;
  }

  .example {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    inline-size: 100%;
    block-size: 100%;
    padding: 0;
    border: 1px solid var(--autoglm-line);
    border-radius: var(--autoglm-radius-m);
    background: var(--autoglm-surface);
    overflow: hidden;
    text-align: start;
    transition:
      transform 0.18s,
      box-shadow 0.18s,
      border-color 0.18s;
  }

  .example:hover {
    transform: translateY(-3px);
    border-color: var(--autoglm-accent);
    box-shadow: var(--autoglm-shadow);
  }

  .example-screen {
    display: block;
    block-size: 9rem;
    overflow: hidden;
    background: var(--autoglm-raised);
  }

  .example img {
    display: block;
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
    object-position: 50% 0;
  }

  .example bdi {
    padding: 10px 14px 12px;
    font-weight: 550;
    line-height: 1.4;
    overflow-wrap: anywhere;
  }

  /* Cards in a column lie down, so that all of them stay in sight on a phone. */
  @container (max-inline-size: 26rem) or (max-block-size: 30rem) {
    .examples {
      grid-template-columns: minmax(0, 24rem);
      gap: var(--autoglm-space-s);
      margin-block-start: var(--autoglm-space-m);
    }

    .example {
      grid-template-columns: 64px minmax(0, 1fr);
      align-items: center;
    }

    .example-screen {
      block-size: 72px;
    }
  }

  .to-latest {
    position: absolute;
    inset-block-end: 12px;
    inset-inline: 0;
    margin-inline: auto;
    display: grid;
    place-items: center;
    inline-size: 44px;
    block-size: 44px;
    padding: 0;
    border: 1px solid var(--autoglm-line);
    border-radius: 50%;
    background: var(--autoglm-surface);
    box-shadow: var(--autoglm-shadow);
  }
`;
