/** What a person asked for with a turn's buttons. */
export type TurnCommand =
  | { readonly name: 'regenerate' | 'delete' }
  | { readonly name: 'edit'; readonly text: string }
  | { readonly name: 'show-branch'; readonly branchId: string }
  | { readonly name: 'zoom'; readonly imageId: string };

/** A turn's button was used. It leaves the list's shadow tree; the element stops it, so no page sees it. */
export class TurnCommandEvent extends Event {
  static readonly type = 'turn-command';
  readonly turnId: string;
  readonly command: TurnCommand;

  constructor(turnId: string, command: TurnCommand) {
    super(TurnCommandEvent.type, { bubbles: true, composed: true });
    this.turnId = turnId;
    this.command = command;
  }
}
