/** What a person asked for in the history. */
export type HistoryCommand =
  | { readonly name: 'open' | 'remove'; readonly id: string }
  | { readonly name: 'rename'; readonly id: string; readonly title: string }
  | { readonly name: 'export'; readonly format: 'json' | 'markdown' }
  | { readonly name: 'import'; readonly file: File };

/** A button of the history was used. Stays inside the element. */
export class HistoryCommandEvent extends Event {
  static readonly type = 'history-command';
  readonly command: HistoryCommand;

  constructor(command: HistoryCommand) {
    super(HistoryCommandEvent.type, { bubbles: true });
    this.command = command;
  }
}
