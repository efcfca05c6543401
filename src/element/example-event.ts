import type { ChatExample } from './example-cards.ts';

/** The user chose an example. Stays inside the element. */
export class ExampleEvent extends Event {
  static readonly type = 'example-choose';
  readonly example: ChatExample;

  constructor(example: ChatExample) {
    super(ExampleEvent.type, { bubbles: true });
    this.example = example;
  }
}
