/** Registers `<autoglm-chat>` and its parts. This is a public list: files of this folder do not import it. */
export { AutoglmChat } from './chat.ts';
export type { ComposerContent, SendOptions } from './chat.ts';
export type { GenerationSettings } from './answer-stream.ts';
export type { AssistantTurn, Turn, TurnFault, TurnFigures, TurnImage, UserTurn } from './conversation.ts';
export type { ChatExample } from './example-cards.ts';
export type { BackendChoice } from '../engine/engine-options.ts';
export type { HistoryFile } from './history-file.ts';
export { AutoglmActionEvent } from './events/action.ts';
export { AutoglmBackendEvent } from './events/backend.ts';
export { AutoglmErrorEvent } from './events/error.ts';
export { AutoglmMessageEvent } from './events/message.ts';
export { AutoglmProgressEvent } from './events/progress.ts';
export { AutoglmReadyEvent } from './events/ready.ts';
export { AutoglmTokenEvent } from './events/token.ts';
export { registerStrings } from './strings/localizer.ts';
export type { StringKey, Strings } from './strings/localizer.ts';
