import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { EngineInfo } from '../engine/engine.ts';
import type { Turn } from './conversation.ts';
import type { Localizer } from './strings/localizer.ts';

/** Tokens that the newest answer and its prompt hold; 0 before the first. */
export function countContextTokens(turns: readonly Turn[]): number {
  for (const turn of turns.toReversed()) {
    if (turn.role !== 'assistant' || turn.figures === null) continue;
    return turn.figures.promptTokens + turn.figures.completionTokens;
  }
  return 0;
}

/** How full the context is. */
export function renderContextGauge(
  turns: readonly Turn[],
  info: EngineInfo | null,
  words: Localizer,
): TemplateResult | typeof nothing {
  const used = countContextTokens(turns);
  if (info === null || info.contextWindow <= 0 || used === 0) return nothing;
  const share = Math.min(1, used / info.contextWindow);
  return html`<span class="gauge" part="context-gauge">
    <svg class="ring ${share > 0.85 ? 'full' : ''}" viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="6" pathLength="100" />
      <circle class="used" cx="8" cy="8" r="6" pathLength="100" stroke-dasharray="${share * 100} 100" />
    </svg>
    <span class="in-full">${words.say('contextUse', { used, limit: info.contextWindow })}</span>
    <span class="in-short">${words.say('contextShort', { used, limit: info.contextWindow })}</span>
  </span>`;
}
