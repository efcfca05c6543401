/**
 * Holds the packed tarball to what it promises: entries that exist, types that resolve, a size, modules that load by
 * themselves and fall away where they are not used. Needs `build:package` and `build:node`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { listFiles } from './build-package.mjs';
import { ROOT } from './install.mjs';
import { isMain } from './is-main.mjs';
import { PACKAGE_ENTRIES } from './package-entries.mjs';

/** All that a page needs to chat, without weights, gzip -9: element, engine and their packages. Growing it is a decision. */
const SIZE_LIMIT_BYTES = 250_000;
/** What is left of an entry of which one function is used, minified. */
const SHAKEN_LIMIT_BYTES = 9_000;

/** @param {string} folder where the tarball goes @returns {string} its path. */
export function packTarball(folder) {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const { status, stdout, stderr } = spawnSync(npm, args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  return join(folder, JSON.parse(stdout)[0].filename);
}

/** @param {string} tarball @returns {string[]} */
function checkByLinters(tarball) {
  const runs = [
    ['publint/src/cli.js', 'run', tarball, '--strict'],
    ['@arethetypeswrong/cli/dist/index.js', tarball, '--profile', 'esm-only', '--no-emoji', '--no-color'],
  ];
  return runs.flatMap(([script = '', ...args]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join('node_modules', script), ...args], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    return status === 0 ? [] : [`${script}:\n${stdout}${stderr}`];
  });
}

/** @returns {string[]} entries that are built and not exported, or the other way round. */
function checkEntries() {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const exported = Object.values(exports)
    .map((target) => (typeof target === 'string' ? target : target.default))
    .filter((path) => path.startsWith('./dist/package/') && path.endsWith('.js'));
  const built = PACKAGE_ENTRIES.map((entry) => `./dist/package/${entry}.js`);
  return [
    ...built.filter((path) => !exported.includes(path)).map((path) => `${path} is not in "exports".`),
    ...exported
      .filter((path) => !built.includes(path))
      .map((path) => `${path} is not in package-entries.mjs.`),
  ];
}

/** What a page loads to chat on WebGPU; other scripts wait for a helper, structured output or a look at the storage. */
const NEEDED = /^(?:autoglm|create-engine-.*|image-token-counter-.*|engine-worker-.*)\.js$/;

/** @returns {string[]} */
function checkSize() {
  const all = listFiles(join(ROOT, 'dist/cdn'), '.js');
  const needed = withStaticImports(all.filter((path) => NEEDED.test(basename(path))));
  const [bytes = 0, allBytes = 0] = [needed, all].map((paths) =>
    paths.reduce((sum, path) => sum + gzipSync(readFileSync(path), { level: 9 }).byteLength, 0),
  );
  console.log(
    `element and engine: ${bytes} bytes gzip of at most ${SIZE_LIMIT_BYTES}; with what is loaded on demand ${allBytes}`,
  );
  return bytes <= SIZE_LIMIT_BYTES ? [] : [`${bytes} bytes gzip; the limit is ${SIZE_LIMIT_BYTES}.`];
}

/** @param {string[]} paths @returns {string[]} these scripts and those that they cannot start without. */
function withStaticImports(paths) {
  const found = new Set(paths);
  // A set's loop reaches what is added during the loop.
  for (const path of found) {
    for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(/(?:from|import)\s?"(\.[^"]+)"/g)) {
      found.add(join(path, '..', name));
    }
  }
  return [...found];
}

/**
 * Unpacks the tarball where a page's project would have it, and uses it from there.
 *
 * @param {string} tarball @param {string} folder @returns {Promise<string[]>}
 */
async function checkUse(tarball, folder) {
  const project = join(folder, 'project');
  mkdirSync(join(project, 'node_modules'), { recursive: true });
  spawnSync('tar', ['-xzf', tarball, '-C', project]);
  cpSync(join(project, 'package'), join(project, 'node_modules/autoglm-web'), { recursive: true });
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    mkdirSync(join(project, 'node_modules', name, '..'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name), 'junction');
  }
  const faults = [];
  for (const [name, entry] of [
    ['parseAction', 'agent'],
    ['isAutoglmError', 'engine'],
  ]) {
    const file = join(project, `${entry}.mjs`);
    writeFileSync(file, `import { ${name} } from 'autoglm-web/${entry}';\nconsole.log(${name}('x'));\n`);
    faults.push(...(await checkShaken(file)));
  }
  writeFileSync(
    join(project, 'load.mjs'),
    `export const names = [await import('autoglm-web/engine'), await import('autoglm-web/agent'), await import('autoglm-web/helper')].flatMap(Object.keys);`,
  );
  const { names } = await import(pathToFileURL(join(project, 'load.mjs')).href);
  for (const name of ['createEngine', 'AutoglmError', 'parseAction', 'serve']) {
    if (!names.includes(name)) faults.push(`Node does not find ${name} in the packed entries.`);
  }
  return faults;
}

/** @param {string} file @returns {Promise<string[]>} */
async function checkShaken(file) {
  const results = await build({
    root: join(file, '..'),
    configFile: false,
    logLevel: 'silent',
    build: { write: false, minify: true, rolldownOptions: { input: file } },
  });
  const outputs = [results].flat().flatMap((one) => ('output' in one ? one.output : []));
  const bytes = outputs.reduce((sum, one) => sum + (one.type === 'chunk' ? one.code.length : 0), 0);
  console.log(`${basename(file)}: ${bytes} bytes of one used function`);
  return bytes <= SHAKEN_LIMIT_BYTES
    ? []
    : [`${file} bundles to ${bytes} bytes; at most ${SHAKEN_LIMIT_BYTES} are left where tree-shaking works.`];
}

if (isMain(import.meta.url)) {
  const folder = mkdtempSync(join(tmpdir(), 'autoglm-package-'));
  try {
    const tarball = packTarball(folder);
    const faults = [
      ...checkEntries(),
      ...checkSize(),
      ...checkByLinters(tarball),
      ...(await checkUse(tarball, folder)),
    ];
    for (const fault of faults) console.error(fault);
    process.exitCode = faults.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
