import type { TurnImage } from './conversation.ts';

/** What is about to be sent. */
export interface Draft {
  readonly text: string;
  readonly images: readonly TurnImage[];
  /** Null where no screenshot is attached or the field was emptied. */
  readonly currentApp: string | null;
}

/** The user sends. Stays inside the element. */
export class ComposerSubmitEvent extends Event {
  static readonly type = 'composer-submit';
  readonly draft: Draft;

  constructor(draft: Draft) {
    super(ComposerSubmitEvent.type, { bubbles: true });
    this.draft = draft;
  }
}

/** The user stops the answer. Stays inside the element. */
export class ComposerStopEvent extends Event {
  static readonly type = 'composer-stop';

  constructor() {
    super(ComposerStopEvent.type, { bubbles: true });
  }
}

/** Pictures are about to be attached: what they cost should be known. Stays inside the element. */
export class ComposerAttachEvent extends Event {
  static readonly type = 'composer-attach';

  constructor() {
    super(ComposerAttachEvent.type, { bubbles: true });
  }
}

/** The text that is being written changed. Stays inside the element. */
export class ComposerInputEvent extends Event {
  static readonly type = 'composer-input';
  readonly text: string;

  constructor(text: string) {
    super(ComposerInputEvent.type, { bubbles: true });
    this.text = text;
  }
}
