/**
 * Bundles the soak of `src/engine` into `dist/soak`, for a GPU machine that has only Node and the package `webgpu`:
 * `npm run build:soak`, copy the folder, `node dist/soak/soak.mjs [requests] [seed]`.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { ROOT } from './install.mjs';
import { withoutShaderComments } from './shader-comments.mjs';

const OUTPUT = join(ROOT, 'dist/soak');

await build({
  root: ROOT,
  configFile: false,
  publicDir: false,
  logLevel: 'warn',
  plugins: [withoutShaderComments()],
  ssr: { noExternal: true, external: ['webgpu'] },
  build: {
    ssr: true,
    outDir: OUTPUT,
    emptyOutDir: true,
    target: 'node20',
    rolldownOptions: {
      input: { soak: join(ROOT, 'src/engine/soak-program.test-support.ts') },
      output: { entryFileNames: '[name].mjs', codeSplitting: false },
    },
  },
});
// The bundle looks for the reference model's config beside itself.
cpSync(join(ROOT, 'src/model/goldens/glm4v-a/config.json'), join(OUTPUT, 'glm4v-a/config.json'));
