import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { packTarball } from '../../.ci/check-package.mjs';
import { ROOT } from '../../.ci/install.mjs';
import { serveFolder } from '../static-server.ts';

const EXAMPLES = ['react', 'vue', 'svelte', 'strict-csp'];
const runFile = promisify(execFile);

/** Packs, installs and builds once; every test then opens a page. `package.json` of the examples says what they need. */
export default async function prepare(): Promise<() => Promise<void>> {
  const project = mkdtempSync(join(tmpdir(), 'autoglm-examples-'));
  cpSync(join(ROOT, 'src/demo/examples'), project, { recursive: true });
  await install(project);
  await Promise.all(EXAMPLES.map((name) => build(project, name)));
  const pages = await serveFolder(project);
  // Another port is another origin, as a CDN is.
  const cdn = await serveFolder(join(project, 'node_modules/autoglm-web'));
  writeFileSync(join(project, 'cdn.html'), toCdnPage(cdn.url));
  writeFileSync(join(project, 'scripted-engine.js'), toScriptedEngine());
  process.env['AUTOGLM_EXAMPLES_URL'] = pages.url;
  return async () => {
    await Promise.all([pages.close(), cdn.close()]);
    rmSync(project, { recursive: true, force: true });
  };
}

/** The whole of what somebody has to write. */
function toCdnPage(cdn: string): string {
  return `<!doctype html><html lang="en"><title>CDN</title><link rel="icon" href="data:," />
    <script type="module" src="${cdn}/dist/cdn/autoglm.js"></script>
    <autoglm-chat model="${cdn}/public/models/autoglm-tiny-q4f16_1" loading="eager"></autoglm-chat></html>`;
}

/** What answers where the real model has nothing more to show; its only imports are types. */
function toScriptedEngine(): string {
  const source = readFileSync(join(ROOT, 'src/element/scripted-engine.test-support.ts'), 'utf8');
  return ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 },
  }).outputText;
}

async function install(project: string): Promise<void> {
  const path = join(project, 'package.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as { dependencies: Record<string, string> };
  manifest.dependencies['autoglm-web'] = `file:${packTarball(project)}`;
  writeFileSync(path, JSON.stringify(manifest));
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  await runFile(npm, ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: project });
}

async function build(project: string, name: string): Promise<void> {
  const vite = join(project, 'node_modules/vite/bin/vite.js');
  await runFile(process.execPath, [vite, 'build', name, '--logLevel=warn'], { cwd: project });
}
