/** The user unloads the model. Stays inside the element. */
export class UnloadRequestEvent extends Event {
  static readonly type = 'unload-request';

  constructor() {
    super(UnloadRequestEvent.type, { bubbles: true });
  }
}
