import { svg, html } from 'lit';
import type { TemplateResult } from 'lit';

/** Outlines on a 24 x 24 grid, drawn with the text's colour. */
const OUTLINES = {
  attach: svg`<path d="M4 16.5V7a3 3 0 0 1 3-3h10a3 3 0 0 1 3 3v6"/><path d="m4 16 4.3-4.3a2 2 0 0 1 2.8 0L14 14.6"/><circle cx="15.5" cy="8.5" r="1.3"/><path d="M18 15.5v6M15 18.5h6"/>`,
  back: svg`<path d="M9 6 4 11l5 5"/><path d="M4 11h10a6 6 0 0 1 0 12h-2" transform="translate(0 -2)"/>`,
  camera: svg`<path d="M4 8.5A1.5 1.5 0 0 1 5.5 7h2.2l1.5-2.2h5.6L16.3 7h2.2A1.5 1.5 0 0 1 20 8.5v9a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5z"/><circle cx="12" cy="13" r="3.5"/>`,
  check: svg`<path d="m5 12.5 4.7 4.7L19 7.5"/>`,
  chip: svg`<rect x="7" y="7" width="10" height="10" rx="2"/><path d="M10 3.5V7M14 3.5V7M10 17v3.5M14 17v3.5M3.5 10H7M3.5 14H7M17 10h3.5M17 14h3.5"/>`,
  clock: svg`<circle cx="12" cy="12" r="8"/><path d="M12 7.5V12l3 2"/>`,
  close: svg`<path d="m6.5 6.5 11 11M17.5 6.5l-11 11"/>`,
  copy: svg`<rect x="9" y="9" width="11" height="11" rx="2.5"/><path d="M15 6V5.5A1.5 1.5 0 0 0 13.5 4h-8A1.5 1.5 0 0 0 4 5.5v8A1.5 1.5 0 0 0 5.5 15H6"/>`,
  down: svg`<path d="M12 5v14M6 13l6 6 6-6"/>`,
  edit: svg`<path d="m4.5 19.5 1-4L16 5l3 3L8.5 18.5z"/><path d="m14 7 3 3"/>`,
  export: svg`<path d="M12 15V4M8 8l4-4 4 4"/><path d="M5 14v4a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-4"/>`,
  hand: svg`<path d="M8 12V6.5a1.5 1.5 0 0 1 3 0V11m0-6a1.5 1.5 0 0 1 3 0v6m0-4.5a1.5 1.5 0 0 1 3 0V14a6.5 6.5 0 0 1-6.5 6.5c-2.5 0-4-1-5.3-3.2L3.5 14c-.5-1 .8-2.2 1.9-1.3L8 15"/>`,
  folder: svg`<path d="M4 7.5A1.5 1.5 0 0 1 5.5 6h4l2 2.5h7A1.5 1.5 0 0 1 20 10v7.5a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5z"/>`,
  history: svg`<path d="M4 6.5h16M4 12h16M4 17.5h10"/>`,
  home: svg`<path d="m4 11 8-6.5 8 6.5"/><path d="M6 9.5V19h12V9.5"/>`,
  import: svg`<path d="M12 4v11M8 11l4 4 4-4"/><path d="M5 14v4a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-4"/>`,
  keyboard: svg`<rect x="3" y="6.5" width="18" height="11" rx="2.5"/><path d="M7 10h.01M10.3 10h.01M13.7 10h.01M17 10h.01M8 14h8"/>`,
  launch: svg`<rect x="4" y="4" width="6.5" height="6.5" rx="2"/><rect x="4" y="13.5" width="6.5" height="6.5" rx="2"/><rect x="13.5" y="13.5" width="6.5" height="6.5" rx="2"/><path d="M17 10.5v-6M14 7.5h6"/>`,
  lock: svg`<rect x="5.5" y="11" width="13" height="9" rx="2"/><path d="M8.5 11V8a3.5 3.5 0 0 1 7 0v3"/>`,
  newChat: svg`<path d="M12 4.5H7A2.5 2.5 0 0 0 4.5 7v10A2.5 2.5 0 0 0 7 19.5h10a2.5 2.5 0 0 0 2.5-2.5v-5"/><path d="M10 14v-2.5l7.5-7.5 2.5 2.5-7.5 7.5z"/>`,
  next: svg`<path d="m10 6 6 6-6 6"/>`,
  note: svg`<path d="M6 4.5h12v10l-5 5H6z"/><path d="M18 14.5h-5v5M9 9h6M9 12.5h3"/>`,
  previous: svg`<path d="m14 6-6 6 6 6"/>`,
  redo: svg`<path d="M19.5 12a7.5 7.5 0 1 1-2.4-5.5"/><path d="M19.5 4v4.5H15"/>`,
  search: svg`<circle cx="11" cy="11" r="6.5"/><path d="m16 16 4 4"/>`,
  send: svg`<path d="M12 19V5.5M6 11l6-6 6 6"/>`,
  storage: svg`<ellipse cx="12" cy="6.5" rx="7.5" ry="2.8"/><path d="M4.5 6.5v11c0 1.5 3.4 2.8 7.5 2.8s7.5-1.3 7.5-2.8v-11M4.5 12c0 1.5 3.4 2.8 7.5 2.8s7.5-1.3 7.5-2.8"/>`,
  stop: svg`<rect x="7" y="7" width="10" height="10" rx="2" fill="currentColor"/>`,
  swipe: svg`<path d="M4 12h15M13 6l6 6-6 6"/>`,
  tap: svg`<circle cx="12" cy="12" r="8"/><circle cx="12" cy="12" r="3" fill="currentColor"/>`,
  trash: svg`<path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 12.5h9l1-12.5M10.5 11v5M13.5 11v5"/>`,
  warning: svg`<path d="M12 4.5 21 19.5H3z"/><path d="M12 10v4.5M12 17h.01"/>`,
  zoom: svg`<path d="M14 4h6v6M20 4l-6.5 6.5M10 20H4v-6M4 20l6.5-6.5"/>`,
} as const;

export type IconName = keyof typeof OUTLINES;

/** A decorative icon of 1.25 em; its control carries the name. */
export function icon(name: IconName): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    ${OUTLINES[name]}
  </svg>`;
}
