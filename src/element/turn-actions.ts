import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { BranchPosition } from './conversation.ts';
import { icon } from './icons.ts';
import type { IconName } from './icons.ts';
import type { Localizer, StringKey } from './strings/localizer.ts';

/** One of a turn's buttons. */
export interface TurnAction {
  readonly icon: IconName;
  readonly label: StringKey;
  run(): void;
}

/** The row of a turn's buttons. */
export function renderTurnActions(actions: readonly TurnAction[], words: Localizer): TemplateResult {
  return html`${actions.map(
    (action) =>
      html`<button
        type="button"
        class="icon-button small"
        title=${words.say(action.label)}
        aria-label=${words.say(action.label)}
        @click=${action.run}
      >
        ${icon(action.icon)}
      </button>`,
  )}`;
}

/** Arrows between the branches of a turn; nothing for a turn without siblings. */
export function renderBranchSwitch(
  branch: BranchPosition | null,
  words: Localizer,
  show: (branchId: string) => void,
): TemplateResult | typeof nothing {
  if (branch === null) return nothing;
  const arrow = (id: string | null, name: IconName, label: StringKey) =>
    html`<button
      type="button"
      class="icon-button small flip-in-rtl"
      aria-label=${words.say(label)}
      title=${words.say(label)}
      ?disabled=${id === null}
      @click=${() => id !== null && show(id)}
    >
      ${icon(name)}
    </button>`;
  return html`<span class="branches" role="group" aria-label=${words.say('branches')}>
    ${arrow(branch.previousId, 'previous', 'previousBranch')}
    <span class="branch-count">${words.count(branch.index + 1)}/${words.count(branch.count)}</span>
    ${arrow(branch.nextId, 'next', 'nextBranch')}
  </span>`;
}
