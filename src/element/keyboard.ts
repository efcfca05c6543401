/** The keys of a `keydown` that matter here. */
export type KeyPress = Pick<KeyboardEvent, 'key' | 'shiftKey' | 'isComposing' | 'keyCode'>;

/** Key code of a `keydown` that an input method has taken; Safari ends the composition before that event. */
const TAKEN_BY_INPUT_METHOD = 229;

/** True while an input method composes: Enter then chooses a candidate and must not be acted on. */
export function isComposing(event: KeyPress): boolean {
  return event.isComposing || event.keyCode === TAKEN_BY_INPUT_METHOD;
}

/** True for the Enter that sends; Shift+Enter begins a new line. */
export function isSubmit(event: KeyPress): boolean {
  return event.key === 'Enter' && !event.shiftKey && !isComposing(event);
}

/** True for the Escape that stops or cancels, not the one that closes a list of candidates. */
export function isCancel(event: KeyPress): boolean {
  return event.key === 'Escape' && !isComposing(event);
}
