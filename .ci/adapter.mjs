/** Makes sure that Node's WebGPU (Dawn) finds an adapter: the machine's GPU, or SwiftShader from the browser. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './install.mjs';

const DRIVER_FILE = 'vk_swiftshader_icd.json';
const LOADER_FILE = 'libvulkan.so.1';
const PROBE = fileURLToPath(new URL('probe-adapter.mjs', import.meta.url));
const PROBE_TIMEOUT_MS = 60_000;

/** Where packages put the browser's own files when its command is only a script that starts it. */
const BROWSER_FOLDERS = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome'];

/**
 * @typedef {object} Adapter
 * @property {string} vendor
 * @property {string} architecture
 * @property {string} description
 * @property {boolean} software
 *
 * @typedef {object} NodeAdapter
 * @property {NodeJS.ProcessEnv} env what a Node process must find in its environment to open the adapter.
 * @property {Adapter} adapter
 */

/**
 * @param {string} browser the path of Chrome or Chromium, which brings SwiftShader.
 * @returns {NodeAdapter}
 * @throws {Error} when not even the software adapter opens: tests that need one must fail, not be left out.
 */
export function findNodeAdapter(browser) {
  const own = probe({});
  if (own && !own.software) return { env: {}, adapter: own };
  const env = process.platform === 'linux' ? getSoftwareEnv(browser) : {};
  const adapter = probe(env) ?? own;
  if (adapter) return { env, adapter };
  throw new Error(
    `No WebGPU adapter opens in Node, neither this machine's GPU nor SwiftShader beside ${browser}.`,
  );
}

/**
 * @param {NodeJS.ProcessEnv} env added to this process's environment.
 * @returns {Adapter | undefined}
 */
function probe(env) {
  const { stdout } = spawnSync(process.execPath, [PROBE], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: PROBE_TIMEOUT_MS,
  });
  const line = stdout?.trim().split('\n').at(-1);
  return line ? (JSON.parse(line) ?? undefined) : undefined;
}

/** @param {string} browser @returns {NodeJS.ProcessEnv} */
function getSoftwareEnv(browser) {
  const folder = [dirname(realpathSync(browser)), ...BROWSER_FOLDERS].find((path) =>
    existsSync(join(path, DRIVER_FILE)),
  );
  if (!folder) return {};
  const driver = join(folder, DRIVER_FILE);
  return {
    // The Vulkan loader reads the first name up to 1.3.206 and the second one since.
    VK_ICD_FILENAMES: driver,
    VK_DRIVER_FILES: driver,
    XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? tmpdir(),
    ...getLoaderEnv(folder),
  };
}

/**
 * A machine without graphics packages has no Vulkan loader either, but the browser brings one. Its folder may not
 * go onto the library path whole: the browser's other libraries would replace the system's.
 *
 * @param {string} browserFolder
 * @returns {NodeJS.ProcessEnv}
 */
function getLoaderEnv(browserFolder) {
  const loader = join(browserFolder, LOADER_FILE);
  if (!existsSync(loader)) return {};
  const folder = join(ROOT, 'node_modules/.cache/autoglm-vulkan');
  const link = join(folder, LOADER_FILE);
  mkdirSync(folder, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(loader, link);
  const before = process.env['LD_LIBRARY_PATH'];
  return { LD_LIBRARY_PATH: before ? `${folder}:${before}` : folder };
}
