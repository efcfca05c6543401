/** By itself, because a drop can only be read inside its handler: there is no time to load more code. */
export { collectDroppedFiles } from '../storage/dropped-files.ts';
