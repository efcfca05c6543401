import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The built command, in a folder of its own. */
export interface BuiltCli extends AsyncDisposable {
  /** Path of the script that Node runs. */
  readonly program: string;
}

/** Builds the command as `npm run build:node` does. @param name tells builds of one process apart */
export async function buildCli(name: string): Promise<BuiltCli> {
  // Inside the project, so that its packages are found.
  const outDir = join(ROOT, 'node_modules', '.cache', `autoglm-${name}-${process.pid}`);
  await build({
    root: join(ROOT, 'src/demo'),
    configFile: join(ROOT, 'vite.config.ts'),
    mode: 'node',
    logLevel: 'error',
    build: { outDir },
  });
  return {
    program: join(outDir, 'autoglm.js'),
    [Symbol.asyncDispose]: () => rm(outDir, { recursive: true }),
  };
}
