import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { ActionView } from './action-view.ts';
import { icon } from './icons.ts';
import type { Localizer } from './strings/localizer.ts';

/** An action in words, with the call as the model wrote it. */
export function renderActionCard(action: ActionView, source: string): TemplateResult {
  return html`<div class="action-card" part="action-card">
    <span class="action-icon">${icon(action.icon)}</span>
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
