import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { ActionView, ScreenSize } from './action-view.ts';
import { cssProperties } from './css-properties.ts';
import { icon } from './icons.ts';
import type { Localizer } from './strings/localizer.ts';

/** The picture that an action is about. */
export interface ActionScreen {
  readonly url: string;
  readonly size: ScreenSize;
}

/** An action in words, with the call as the model wrote it and a look at what is touched. */
export function renderActionCard(
  action: ActionView,
  source: string,
  screen: ActionScreen | null,
): TemplateResult {
  return html`<div class="action-card" part="action-card">
    ${renderLoupe(action, screen) ?? html`<span class="action-icon">${icon(action.icon)}</span>`}
    <div class="action-words">
      <p class="action-title">
        <strong>${action.title}</strong>
        ${action.detail === '' ? nothing : html`<bdi class="action-detail">${action.detail}</bdi>`}
      </p>
      ${action.message === '' ? nothing : html`<p class="action-message" dir="auto">${action.message}</p>`}
      <code dir="ltr">${source}</code>
    </div>
  </div>`;
}

const LOUPE_PX = 48;
/** What the loupe shows, of the picture's shorter side: an icon with its surroundings. */
const LOUPE_SHARE = 0.24;

/** The touched spot of the screenshot: seen also where the screenshot itself is out of sight. */
function renderLoupe(action: ActionView, screen: ActionScreen | null): TemplateResult | null {
  const { mark } = action;
  if (screen === null || mark === null || !('point' in mark)) return null;
  const { url, size } = screen;
  const scale = LOUPE_PX / (LOUPE_SHARE * Math.min(size.width, size.height));
  const offset = (share: number, length: number) => `${LOUPE_PX / 2 - (share / 1000) * length * scale}px`;
  const place = {
    width: `${size.width * scale}px`,
    left: offset(mark.point[0], size.width),
    top: offset(mark.point[1], size.height),
  };
  return html`<span class="loupe"><img src=${url} alt="" draggable="false" ${cssProperties(place)} /></span>`;
}

/** An action that is still being written. */
export function renderPartialAction(source: string, words: Localizer): TemplateResult {
  return html`<div class="action-card" part="action-card">
    <span class="action-icon">${icon('tap')}</span>
    <div class="action-words">
      <p class="action-title"><strong class="shimmer">${words.say('choosingAction')}</strong></p>
      <code dir="ltr">${source}</code>
    </div>
  </div>`;
}
