import { css } from 'lit';

export const screenshotStyles = css`
  :host {
    display: block;
  }

  .frame {
    position: relative;
    overflow: hidden;
    border-radius: var(--autoglm-screenshot-radius, var(--autoglm-radius-l));
    outline: 1px solid var(--autoglm-line);
    box-shadow: 0 2px 10px light-dark(#0000001f, #0009);
    background: var(--autoglm-raised);
    /* Positions on a screenshot do not mirror with the text direction. */
    direction: ltr;
  }

  img {
    display: block;
    inline-size: 100%;
    block-size: auto;
    user-select: none;
  }

  .mark {
    position: absolute;
    inset: 0;
    inline-size: 100%;
    block-size: 100%;
    overflow: hidden;
    fill: none;
    stroke-linecap: round;
    stroke-linejoin: round;
    pointer-events: none;
  }

  .ring {
    stroke: var(--autoglm-mark);
  }

  .halo {
    stroke: #ffffffe6;
  }

  .disc {
    fill: color-mix(in srgb, var(--autoglm-mark) 26%, transparent);
  }

  .fill,
  .dot {
    fill: var(--autoglm-mark);
  }

  .tap .fill {
    opacity: 0.75;
  }

  .pulse {
    stroke: var(--autoglm-mark);
    transform-box: fill-box;
    transform-origin: center;
    animation: pulse 1.8s ease-out 3;
    opacity: 0;
  }

  .swipe line.ring,
  .swipe line.halo {
    stroke-dasharray: 1;
    animation: draw 0.7s ease-out;
  }

  .label {
    position: absolute;
    inset-block-end: 6%;
    left: 50%;
    translate: -50% 0;
    display: flex;
    align-items: center;
    gap: 6px;
    inline-size: max-content;
    max-inline-size: 88%;
    padding: 5px 12px;
    border-radius: var(--autoglm-radius-full);
    background: var(--autoglm-mark);
    color: #1d0a04;
    font-size: var(--autoglm-font-size-s);
    font-weight: 600;
    box-shadow:
      0 0 0 2px #ffffffd9,
      0 4px 14px #0006;
  }

  .label .icon {
    inline-size: 1.1rem;
    block-size: 1.1rem;
  }

  .label bdi {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .scan {
    position: absolute;
    inset: 0;
    background: linear-gradient(
        transparent,
        color-mix(in srgb, var(--autoglm-mark) 46%, transparent),
        transparent
      )
      no-repeat 0 0 / 100% 40%;
    animation: scan 1.7s ease-in-out infinite alternate;
    pointer-events: none;
  }

  @keyframes pulse {
    from {
      opacity: 0.9;
      transform: scale(1);
    }
    to {
      opacity: 0;
      transform: scale(2.2);
    }
  }

  @keyframes draw {
    from {
      stroke-dashoffset: 1;
    }
    to {
      stroke-dashoffset: 0;
    }
  }

  @keyframes scan {
    from {
      background-position: 0 -50%;
    }
    to {
      background-position: 0 150%;
    }
  }

  @media (prefers-reduced-motion: reduce) {
    .scan {
      background: color-mix(in srgb, var(--autoglm-mark) 12%, transparent);
    }
  }

  @media (forced-colors: active) {
    .mark,
    .label {
      forced-color-adjust: none;
    }
  }
`;
