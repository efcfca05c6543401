import { LitElement, html, nothing, svg } from 'lit';
import type { TemplateResult } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import type { ScreenPoint } from '../agent/parse-action.ts';
import type { ScreenMark, ScreenSize } from './action-view.ts';
import { controlStyles } from './controls.styles.ts';
import { icon } from './icons.ts';
import { screenshotStyles } from './screenshot.styles.ts';

/**
 * @summary A screenshot with the action drawn on it: tap ring, swipe arrow, or a label for the rest.
 *
 * @csspart screenshot - The frame around picture and mark.
 * @csspart mark - The drawing; `data-kind`, `data-x` and `data-y` (0..999) tell what and where.
 */
@customElement('autoglm-screenshot')
export class AutoglmScreenshot extends LitElement {
  static override styles = [controlStyles, screenshotStyles];

  /** Object URL of the picture. */
  @property({ attribute: false }) src = '';
  @property({ attribute: false }) size: ScreenSize = { width: 1, height: 1 };
  @property({ attribute: false }) mark: ScreenMark | null = null;
  /** What the picture shows and where the mark is, for those who do not see it. */
  @property({ attribute: false }) description = '';
  /** Shows that the model is looking at the picture. */
  @property({ type: Boolean, reflect: true }) reading = false;

  override render(): TemplateResult {
    const { width, height } = this.size;
    return html`<div class="frame" part="screenshot">
      <img src=${this.src} width=${width} height=${height} alt=${this.description} draggable="false" />
      ${this.mark === null ? nothing : renderMark(this.mark, this.size)}
      ${this.reading ? html`<div class="scan"></div>` : nothing}
    </div>`;
  }
}

function renderMark(mark: ScreenMark, size: ScreenSize): TemplateResult {
  if (mark.kind === 'label') {
    return html`<div part="mark" class="label" data-kind="label">
      ${icon(mark.icon)}<bdi>${mark.text}</bdi>
    </div>`;
  }
  const isSwipe = mark.kind === 'swipe';
  const point = isSwipe ? mark.end : mark.point;
  return html`<svg
    part="mark"
    class="mark"
    data-kind=${mark.kind}
    data-x=${point[0]}
    data-y=${point[1]}
    viewBox="0 0 ${size.width} ${size.height}"
    aria-hidden="true"
  >
    ${isSwipe ? renderSwipe(mark.start, mark.end, size) : renderTap(mark.kind, mark.point, size)}
  </svg>`;
}

/** The ring's size in picture pixels: a fingertip, whatever the picture's resolution. */
function fingerRadius(size: ScreenSize): number {
  return Math.min(size.width, size.height) * 0.065;
}

function renderTap(kind: 'tap' | 'double-tap' | 'long-press', point: ScreenPoint, size: ScreenSize) {
  const radius = fingerRadius(size);
  const [x, y] = toPicture(point, size);
  const circle = (name: string, scale: number) =>
    svg`<circle class=${name} cx=${x} cy=${y} r=${radius * scale} />`;
  return svg`<g class="tap" stroke-width=${radius * 0.2}>
    ${circle('pulse', 1)} ${circle('halo', 1.14)} ${circle('disc', 1)}
    ${kind === 'double-tap' ? circle('ring', 0.62) : nothing}
    ${kind === 'long-press' ? circle('fill', 0.62) : nothing}
    ${circle('ring', 1)} ${circle('dot', 0.16)}
  </g>`;
}

function renderSwipe(start: ScreenPoint, end: ScreenPoint, size: ScreenSize) {
  const radius = fingerRadius(size);
  const [x1, y1] = toPicture(start, size);
  const [x2, y2] = toPicture(end, size);
  const angle = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  const head = `M ${-radius * 0.9} ${-radius * 0.75} L 0 0 L ${-radius * 0.9} ${radius * 0.75}`;
  const line = (name: string, width: number) =>
    svg`<line class=${name} x1=${x1} y1=${y1} x2=${x2} y2=${y2} stroke-width=${width} pathLength="1" />
      <path class=${name} d=${head} transform="translate(${x2} ${y2}) rotate(${angle})" stroke-width=${width} />`;
  return svg`<g class="swipe">
    <circle class="disc" cx=${x1} cy=${y1} r=${radius} />
    ${line('halo', radius * 0.62)} ${line('ring', radius * 0.34)}
    <circle class="dot" cx=${x1} cy=${y1} r=${radius * 0.42} />
  </g>`;
}

function toPicture(point: ScreenPoint, size: ScreenSize): [x: number, y: number] {
  return [(point[0] / 1000) * size.width, (point[1] / 1000) * size.height];
}

declare global {
  interface HTMLElementTagNameMap {
    'autoglm-screenshot': AutoglmScreenshot;
  }
}
