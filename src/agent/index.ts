/** AutoGLM's prompts and action language: the entry `autoglm-web/agent`. A hand-written list; nothing here imports it. */
export { AgentTask } from './agent-task.ts';
export type { AgentScreen, AgentStep, AgentTaskOptions } from './agent-task.ts';
export { parseAction, toPixels } from './parse-action.ts';
export type { AgentAction, ScreenPoint } from './parse-action.ts';
export { parseReply } from './parse-reply.ts';
export type { Reply } from './parse-reply.ts';
export {
  TINY_SYSTEM_PROMPT,
  buildAssistantTurn,
  buildFirstTurn,
  buildScreenTurn,
  formatScreenInfo,
  removeImages,
} from './prompts.ts';
export type { HistoryStyle, ScreenInfo } from './prompts.ts';
