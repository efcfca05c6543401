import { html } from 'lit';
import type { TemplateResult } from 'lit';
import type { Localizer } from './strings/localizer.ts';

/** A screenshot with a task for it, offered while the conversation is empty. */
export interface ChatExample {
  readonly text: string;
  /** URL of the screenshot: the page's own, because it is fetched. */
  readonly image: string;
  /** Default: `System Home`. */
  readonly currentApp?: string;
}

/** One card an example; a click sends it. */
export function renderExamples(
  examples: readonly ChatExample[],
  words: Localizer,
  choose: (example: ChatExample) => void,
): TemplateResult {
  return html`<ul class="examples" part="examples" aria-label=${words.say('examples')}>
    ${examples.map(
      (example) =>
        html`<li>
          <button type="button" class="example" @click=${() => choose(example)}>
            <span class="example-screen"><img src=${example.image} alt="" loading="lazy" /></span>
            <bdi>${example.text}</bdi>
          </button>
        </li>`,
    )}
  </ul>`;
}
