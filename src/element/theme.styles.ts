import { css } from 'lit';

/**
 * Every colour, radius, space and font of the element, as custom properties that a page may set on
 * `autoglm-chat`. `light-dark()` follows the colour scheme, which the `theme` attribute fixes.
 */
export const themeStyles = css`
  :host {
    color-scheme: light dark;

    --autoglm-font:
      ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'PingFang SC', 'Microsoft YaHei',
      'Noto Sans CJK SC', 'Noto Sans', sans-serif;
    --autoglm-font-mono:
      ui-monospace, 'SF Mono', SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace;
    --autoglm-font-size: 0.9375rem;
    --autoglm-font-size-s: 0.8125rem;
    --autoglm-font-size-xs: 0.75rem;
    --autoglm-font-size-l: 1.0625rem;
    --autoglm-font-size-xl: 1.5rem;
    --autoglm-line-height: 1.6;

    --autoglm-background: light-dark(#fbfbfa, #111214);
    --autoglm-surface: light-dark(#ffffff, #191a1d);
    --autoglm-raised: light-dark(#f3f3f1, #232529);
    --autoglm-hover: light-dark(#e9e9e6, #2d3035);
    --autoglm-line: light-dark(#e4e4e0, #2e3136);
    --autoglm-line-strong: light-dark(#8a8d91, #74787f);
    --autoglm-text: light-dark(#1b1c1e, #ececea);
    --autoglm-muted: light-dark(#62656a, #a0a3a9);
    --autoglm-accent: light-dark(#1f6f5c, #67c7ac);
    --autoglm-accent-ink: light-dark(#ffffff, #08231b);
    --autoglm-accent-soft: light-dark(#e3f1ec, #17342c);
    --autoglm-warn: light-dark(#864f00, #e9b667);
    --autoglm-warn-soft: light-dark(#fdf1dd, #33280f);
    --autoglm-bad: light-dark(#b3261e, #ff9a90);
    --autoglm-bad-soft: light-dark(#fdeceb, #3a1a18);
    --autoglm-mark: light-dark(#ff5a36, #ff7a59);
    --autoglm-mark-ink: light-dark(#c2310f, #ff8b6d);
    --autoglm-shadow: 0 1px 2px light-dark(#0000000d, #0006), 0 8px 28px light-dark(#00000014, #0008);

    --autoglm-radius-s: 8px;
    --autoglm-radius-m: 14px;
    --autoglm-radius-l: 20px;
    --autoglm-radius-full: 999px;
    --autoglm-space-xs: 4px;
    --autoglm-space-s: 8px;
    --autoglm-space-m: 12px;
    --autoglm-space-l: 18px;
    --autoglm-space-xl: 28px;
    --autoglm-content-width: 54rem;
    --autoglm-screenshot-width: 15rem;
  }

  :host([theme='light']) {
    color-scheme: light;
  }

  :host([theme='dark']) {
    color-scheme: dark;
  }
`;
