/**
 * Which folder of `src` may import which: the one table that `check-imports.mjs` enforces, types included.
 *
 * @typedef {object} Grant
 * @property {string} room the folder that may be imported.
 * @property {boolean} [typesOnly] only `import type` is allowed.
 *
 * @typedef {object} Room
 * @property {(string | Grant)[]} imports rooms that this one may import, beside itself. `'*'` means every room.
 * @property {string[]} [except] rooms that `'*'` does not include.
 * @property {string[]} [shaders] folders below `shaders` whose files it may import (`''` is `shaders` itself).
 * @property {boolean} [nodeOnly] its files may use Node's own modules and Node-only packages.
 */

/** Files directly in `src`: the public entry, and nothing else. */
export const ENTRY_FILE = 'src/index.ts';

/** The pseudo-room of `ENTRY_FILE`, so that the table can grant it like a folder. */
export const ENTRY_ROOM = 'the public entry';

const ABOVE_ENGINE = [
  'base',
  'protocol',
  'gpu',
  'kernels',
  'model',
  'tokenizer',
  'image',
  'sampling',
  'storage',
];

/** @type {Record<string, Room>} */
export const ROOMS = {
  base: { imports: [] },
  protocol: { imports: ['base'] },
  gpu: { imports: ['base'] },
  kernels: { imports: ['gpu', 'base'], shaders: ['', 'preludes'] },
  model: { imports: ['kernels', 'gpu', 'base'] },
  tokenizer: { imports: ['base'] },
  image: { imports: ['base'] },
  sampling: { imports: ['base'] },
  storage: { imports: ['base'] },
  // `createEngine` names the worker's script by URL; nothing of the worker is part of the page's code.
  engine: { imports: [...ABOVE_ENGINE, 'worker'] },
  worker: { imports: ['engine', 'protocol', 'base'] },
  agent: { imports: ['base', { room: 'engine', typesOnly: true }] },
  element: { imports: ['engine', 'agent', 'base'] },
  // Storage: models that pages hand over are kept by the manifest's own rules.
  helper: { imports: ['engine', 'storage', 'gpu', 'protocol', 'base'], shaders: ['cuda'], nodeOnly: true },
  cli: { imports: ['*'], except: ['element', 'demo'], nodeOnly: true },
  // The bench page names the bench worker's script by URL; the fit page asks the planner in `model` itself.
  demo: { imports: [ENTRY_ROOM, 'worker', 'model'] },
  [ENTRY_ROOM]: { imports: ['*'], except: ['helper', 'cli', 'demo'] },
};

/** Packages that do not load in a browser. */
export const NODE_PACKAGES = ['commander', 'fastify', 'koffi', 'prom-client', 'sharp', 'webgpu'];
