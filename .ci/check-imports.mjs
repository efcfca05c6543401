/** Fails when a file imports what the table in `rooms.mjs` does not allow, when imports run in a circle, or when
 * a shader and its kernel do not belong together. */
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { listFiles, readModules } from './import-graph.mjs';
import { ROOT } from './install.mjs';
import { isMain } from './is-main.mjs';
import { ENTRY_FILE, ENTRY_ROOM, NODE_PACKAGES, ROOMS } from './rooms.mjs';

/**
 * @typedef {import('./import-graph.mjs').Module} Module
 * @typedef {import('./import-graph.mjs').Import} Import
 */

/**
 * @param {string} root the folder that holds `src` and `shaders`.
 * @returns {string[]} what is wrong, one sentence a fault; empty when all is well.
 */
export function checkImports(root) {
  const modules = readModules(root);
  const product = modules.filter((module) => !isTest(module.path));
  return [
    ...modules.flatMap(checkPlace),
    ...modules.flatMap(checkTargetsExist),
    ...product.flatMap(checkModule),
    ...findCycles(modules),
    ...checkShaders(listFiles(root, 'shaders'), product),
  ];
}

/** @param {string} path */
function isTest(path) {
  return /\.(?:test|test-support)\.ts$/.test(path);
}

/** @param {string} path @returns {string | undefined} the room of a file, undefined when it lies in none. */
function roomOf(path) {
  if (path === ENTRY_FILE) return ENTRY_ROOM;
  const room = /^src\/([^/]+)\//.exec(path)?.[1];
  return room !== undefined && Object.hasOwn(ROOMS, room) ? room : undefined;
}

/** @param {Module} module @returns {string[]} */
function checkPlace({ path }) {
  if (roomOf(path) || (isTest(path) && !path.slice('src/'.length).includes('/'))) return [];
  return [`${path} lies in no known room: add its folder to .ci/rooms.mjs, or move it.`];
}

/** @param {Module} module @returns {string[]} */
function checkTargetsExist({ path, imports }) {
  return imports
    .filter(({ missing, specifier }) => missing && !specifier.includes('*'))
    .map(({ line, specifier }) => `${path}:${line} imports "${specifier}", which does not exist.`);
}

/** @param {Module} module @returns {string[]} */
function checkModule(module) {
  return module.imports.flatMap((one) => {
    const fault = faultOf(module.path, one);
    return fault ? [`${module.path}:${one.line} imports "${one.specifier}": ${fault}`] : [];
  });
}

/** @param {string} importer @param {Import} one @returns {string | undefined} why the import is not allowed. */
function faultOf(importer, one) {
  const room = roomOf(importer);
  if (!room) return undefined;
  if (one.specifier.includes('*')) return 'a glob hides what is imported; name the files.';
  if (one.target === undefined) return faultOfPackage(importer, room, one.specifier);
  if (one.target.startsWith('shaders/')) return faultOfShader(room, one.target);
  if (isTest(one.target)) return 'the product may not import its tests.';
  if (!one.target.startsWith('src/')) return 'it lies outside src.';
  return faultOfNodeFile(importer, room, one) ?? faultOfRoom(room, one);
}

/** @param {string} importer @param {string} room @param {string} specifier */
function faultOfPackage(importer, room, specifier) {
  if (mayUseNode(importer, room) || !isNodePackage(specifier)) return undefined;
  return 'only src/cli, src/helper and files with "node" in their name may use it; browsers have no such module.';
}

/** @param {string} specifier */
function isNodePackage(specifier) {
  const name = specifier.split('/')[0] ?? '';
  return name.startsWith('node:') || builtinModules.includes(name) || NODE_PACKAGES.includes(name);
}

/** @param {string} importer @param {string} room */
function mayUseNode(importer, room) {
  return ROOMS[room]?.nodeOnly === true || isNodeFile(importer);
}

/** `decode-node.ts`, `node-folder-source.ts`, `webgpu-node.ts`. @param {string} path */
function isNodeFile(path) {
  return /(?:^|-)node(?:-|\.)/.test(posix.basename(path));
}

/** @param {string} importer @param {string} room @param {Import} one */
function faultOfNodeFile(importer, room, one) {
  if (one.typeOnly || !one.target || !isNodeFile(one.target) || mayUseNode(importer, room)) return undefined;
  return 'a page would load a Node-only file; only src/cli, src/helper and other Node-only files may import it.';
}

/** @param {string} room @param {string} target */
function faultOfShader(room, target) {
  const folder = posix.dirname(target).slice('shaders/'.length);
  if (ROOMS[room]?.shaders?.includes(folder)) return undefined;
  return `src/${room} may not import shaders/${folder}.`;
}

/** @param {string} room @param {Import} one @returns {string | undefined} */
function faultOfRoom(room, { target, typeOnly }) {
  const other = target === undefined ? undefined : roomOf(target);
  if (!other) return 'it lies in no known room.';
  const { imports, except = [] } = ROOMS[room] ?? { imports: [] };
  if (other === room || (imports.includes('*') && !except.includes(other))) return undefined;
  const grant = imports
    .map((one) => (typeof one === 'string' ? { room: one } : one))
    .find((one) => one.room === other);
  if (!grant) return `${room} may not import ${other}.`;
  return grant.typesOnly && !typeOnly
    ? `${room} may import only types from ${other}: use "import type".`
    : undefined;
}

/**
 * Tarjan's strongly connected components: each with more than one file, or a file that imports itself, is a circle.
 *
 * @param {Module[]} modules
 * @returns {string[]}
 */
function findCycles(modules) {
  const edges = new Map(
    modules.map(({ path, imports }) => [path, imports.flatMap(({ target }) => target ?? [])]),
  );
  /** @type {Map<string, { index: number, low: number, open: boolean }>} */
  const visits = new Map();
  /** @type {string[]} */
  const stack = [];
  /** @type {string[]} */
  const faults = [];
  /** @param {string} path */
  const visit = (path) => {
    const visit_ = { index: visits.size, low: visits.size, open: true };
    visits.set(path, visit_);
    stack.push(path);
    for (const next of edges.get(path) ?? []) {
      if (!edges.has(next)) continue;
      const seen = visits.get(next) ?? visit(next);
      if (seen.open) visit_.low = Math.min(visit_.low, seen.low);
    }
    if (visit_.low === visit_.index) {
      const circle = stack.splice(stack.indexOf(path));
      for (const member of circle) /** @type {{ open: boolean }} */ (visits.get(member)).open = false;
      if (circle.length > 1 || edges.get(path)?.includes(path)) {
        faults.push(`Imports run in a circle: ${traceCircle(path, new Set(circle), edges).join(' -> ')}.`);
      }
    }
    return visit_;
  };
  for (const path of edges.keys()) if (!visits.has(path)) visit(path);
  return faults;
}

/**
 * @param {string} start
 * @param {Set<string>} members all files of one strongly connected component.
 * @param {Map<string, string[]>} edges
 * @returns {string[]} the shortest way from `start` back to itself.
 */
function traceCircle(start, members, edges) {
  /** @type {string[][]} */
  let ways = [[start]];
  const reached = new Set();
  while (ways.length > 0) {
    /** @type {string[][]} */
    const longer = [];
    for (const way of ways) {
      for (const next of edges.get(way.at(-1) ?? start) ?? []) {
        if (next === start) return [...way, start];
        if (!members.has(next) || reached.has(next)) continue;
        reached.add(next);
        longer.push([...way, next]);
      }
    }
    ways = longer;
  }
  return [start];
}

/**
 * A missing shader is seen by no type check, and a forgotten one by nobody: each belongs to one kernel, the one of
 * its own name where there is such a file.
 *
 * @param {string[]} shaders
 * @param {Module[]} product
 * @returns {string[]}
 */
function checkShaders(shaders, product) {
  const kernels = product.filter(({ path }) => path.startsWith('src/kernels/'));
  return shaders
    .filter((shader) => shader.endsWith('.wgsl'))
    .flatMap((shader) => {
      const importers = kernels
        .filter(({ imports }) => imports.some(({ target }) => target === shader))
        .map(({ path }) => path);
      if (importers.length === 0) return [`${shader} is imported by no kernel.`];
      if (posix.dirname(shader) !== 'shaders') return [];
      const namesake = `src/kernels/${posix.basename(shader, '.wgsl')}.ts`;
      const owner = kernels.some(({ path }) => path === namesake) ? namesake : importers[0];
      if (importers.every((importer) => importer === owner)) return [];
      return [`${shader} belongs to ${owner} alone, and is imported by ${importers.join(', ')}.`];
    });
}

if (isMain(import.meta.url)) {
  const faults = checkImports(ROOT);
  for (const fault of faults) console.error(fault);
  console.error(faults.length === 0 ? 'Imports: all rules hold.' : `Imports: ${faults.length} faults.`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
