/** The user agrees to load the model, or tries again. Stays inside the element. */
export class LoadRequestEvent extends Event {
  static readonly type = 'load-request';

  constructor() {
    super(LoadRequestEvent.type, { bubbles: true });
  }
}

/** The user ends a load. Stays inside the element. */
export class LoadCancelEvent extends Event {
  static readonly type = 'load-cancel';

  constructor() {
    super(LoadCancelEvent.type, { bubbles: true });
  }
}
