/**
 * Builds what npm gets into `dist`: modules with their types and the files for editors (`package`), one script for
 * pages without a bundler (`cdn`), and the API's documentation (`docs`). `node .ci/build-package.mjs`
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { customElementJetBrainsPlugin } from 'custom-element-jet-brains-integration';
import { generateVsCodeCustomElementData } from 'custom-element-vs-code-integration';
import { ROOT } from './install.mjs';
import { isMain } from './is-main.mjs';
import { PACKAGE_ENTRIES } from './package-entries.mjs';

export const PACKAGE_FOLDER = join(ROOT, 'dist/package');

/** @param {string} script of a package in `node_modules` @param {string[]} args */
function run(script, args) {
  const { status } = spawnSync(process.execPath, [join('node_modules', script), ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`${script} ${args.join(' ')} failed: see its output.`);
}

function buildModules() {
  run('vite/bin/vite.js', ['build', '--mode=package', '--logLevel=warn']);
  run('vite/bin/vite.js', ['build', '--mode=cdn', '--logLevel=warn']);
}

/** Declarations lie beside their modules and name them as they are after the build: `./x.js`, not `./x.ts`. */
function buildTypes() {
  run('typescript/bin/tsc', ['-p', '.ci/tsconfig.package.json']);
  for (const path of listFiles(PACKAGE_FOLDER, '.d.ts')) {
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replaceAll(/(['"])(\.\.?\/[^'"]+)\.ts\1/g, '$1$2.js$1'));
  }
}

/** @param {string} folder @param {string} ending @returns {string[]} */
export function listFiles(folder, ending) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

/**
 * @typedef {{ name: string, tagName?: string, events?: { name?: string }[] }} Declaration
 * @typedef {{ path: string, declarations?: Declaration[], exports?: { declaration?: { module?: string } }[] }} Module
 */

/** The manifest of custom elements, and from it what VS Code and JetBrains' editors read. */
function buildEditorData() {
  run('@custom-elements-manifest/analyzer/cem.js', [
    'analyze',
    '--litelement',
    '--quiet',
    '--globs',
    'src/element/**/*.ts',
    '--exclude',
    'src/element/**/*.test*.ts',
    '--outdir',
    'dist/package',
  ]);
  const path = join(PACKAGE_FOLDER, 'custom-elements.json');
  const text = readFileSync(path, 'utf8').replaceAll(
    /"(?:\/)?src\/element\/([^"]+)\.ts"/g,
    '"element/$1.js"',
  );
  const manifest = JSON.parse(text);
  // The parts inside are the element's own business: a page writes one tag.
  const modules = /** @type {Module[]} */ (manifest.modules).map((module) => ({
    ...module,
    declarations: module.declarations
      ?.filter(({ tagName }) => tagName === undefined || tagName === 'autoglm-chat')
      .map(withoutGuessedEvents),
  }));
  const outward = { ...manifest, modules: modules.filter(({ path: file }) => isOutward(file)) };
  writeFileSync(path, `${JSON.stringify(outward, null, 2)}\n`);
  generateVsCodeCustomElementData(outward, { outdir: PACKAGE_FOLDER, hideLogs: true });
  const plugin = customElementJetBrainsPlugin({
    outdir: PACKAGE_FOLDER,
    packageJson: false,
    hideLogs: true,
  });
  plugin.packageLinkPhase({ customElementsManifest: outward });
}

/**
 * The analyzer takes the first argument of an event's constructor for its name; the real ones are in the comments.
 *
 * @param {Declaration} declaration @returns {Declaration}
 */
function withoutGuessedEvents(declaration) {
  const { events } = declaration;
  if (events === undefined) return declaration;
  return { ...declaration, events: events.filter(({ name }) => name?.startsWith('autoglm-')) };
}

/** @param {string} path @returns {boolean} whether the public entry offers something of this module. */
function isOutward(path) {
  return /^element\/(?:chat|index|events\/.*)\.js$/.test(path);
}

/** Fails on a public name without a comment. */
function buildDocs() {
  run('typedoc/bin/typedoc', [
    ...PACKAGE_ENTRIES.flatMap((entry) => ['--entryPoints', `src/${entry}.ts`]),
    '--tsconfig',
    '.ci/tsconfig.package.json',
    '--options',
    '.ci/typedoc.config.mjs',
  ]);
}

if (isMain(import.meta.url)) {
  buildModules();
  buildTypes();
  buildEditorData();
  buildDocs();
}
