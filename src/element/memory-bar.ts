import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { FitReport } from '../engine/fit-report.ts';
import { cssProperties } from './css-properties.ts';
import type { Localizer } from './strings/localizer.ts';

/** Bytes on the GPU by what they are for. */
export interface MemoryParts {
  readonly weightBytes: number;
  readonly cacheBytes: number;
  /** 0 while it is not known. */
  readonly workBytes: number;
}

/** The parts of a plan; the images' share counts as work space. */
export function partsOf({ memory }: FitReport): MemoryParts {
  const { weightBytes, cacheBytes, totalBytes } = memory;
  return { weightBytes, cacheBytes, workBytes: Math.max(0, totalBytes - weightBytes - cacheBytes) };
}

/**
 * What the memory is for, drawn to scale; the same in words for those who do not see it.
 *
 * @param note how sure it is.
 */
export function renderMemoryBar(parts: MemoryParts, words: Localizer, note = ''): TemplateResult {
  const { weightBytes, cacheBytes, workBytes } = parts;
  const total = weightBytes + cacheBytes + workBytes;
  const label = [weightBytes, cacheBytes, ...(workBytes > 0 ? [workBytes] : [])]
    .map((bytes) => words.bytes(bytes))
    .join(' · ');
  const slice = (name: string, bytes: number) =>
    bytes === 0
      ? nothing
      : html`<i class=${name} ${cssProperties({ 'flex-grow': String(Math.max(bytes / total, 0.01)) })}></i>`;
  return html`<span class="memory-bar" role="img" aria-label="${words.say('memoryParts')}: ${label}">
      ${slice('weights', weightBytes)}${slice('cache', cacheBytes)}${slice('work', workBytes)}
    </span>
    <span class="memory-words"
      ><span>${words.say(workBytes > 0 ? 'memoryParts' : 'memoryPartsAtLeast')}</span>${
        note === '' ? nothing : html`<span class="memory-note">${note}</span>`
      }</span
    >`;
}

/** What was given up so that the model fits, in words. */
export function renderGivenUp(plan: FitReport, words: Localizer): TemplateResult | typeof nothing {
  if (plan.steps.length === 0) return nothing;
  return html`<ul class="given-up">
    ${plan.steps.map((step) => {
      const saved = words.bytes(step.savedBytes);
      const what =
        step.kind === 'context'
          ? words.say('contextCut', { from: step.from, to: step.to })
          : words.say(step.kind === 'vision' ? 'visionPacked' : 'cachePacked');
      return html`<li>${what} <span class="saved">−${saved}</span></li>`;
    })}
  </ul>`;
}
