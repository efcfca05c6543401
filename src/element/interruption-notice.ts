import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { AutoglmError } from '../base/errors.ts';
import { icon } from './icons.ts';
import type { Localizer } from './strings/localizer.ts';

/** Says that the engine does not answer at this moment and what happens next; the answer is not lost. */
export function renderInterruption(
  fault: AutoglmError | null,
  words: Localizer,
): TemplateResult | typeof nothing {
  if (fault === null) return nothing;
  const key = fault.code === 'helper-unreachable' ? 'helperInterrupted' : 'gpuInterrupted';
  return html`<p class="interruption" role="alert">${icon('warning')}<span>${words.say(key)}</span></p>`;
}
