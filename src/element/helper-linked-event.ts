/** The page was linked with the helper, and its user knows what the browser may ask next. */
export class HelperLinkedEvent extends Event {
  static readonly type = 'helper-linked';

  constructor() {
    super(HelperLinkedEvent.type, { bubbles: true });
  }
}
