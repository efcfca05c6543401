/** Finds the Chrome or Chromium that the page tests drive, or installs one. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ROOT } from './install.mjs';
import { isMain } from './is-main.mjs';
import { installPackages } from './system-packages.mjs';

/** Set by a person to name their browser; the tests set the first one to the browser that was found. */
const VARIABLES = ['AUTOGLM_CHROME', 'CHROME_PATH'];

const COMMANDS = ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser', 'chrome'];

/** @type {Partial<Record<NodeJS.Platform, string[]>>} */
const USUAL_PATHS = {
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ],
  linux: [
    '/usr/bin/google-chrome-stable',
    '/opt/google/chrome/chrome',
    '/usr/bin/chromium',
    '/usr/lib/chromium/chromium',
    '/usr/bin/chromium-browser',
  ],
  win32: [
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
  ],
};

/** Where Playwright's browsers come from; asked first, because its own download waits long for a dead network. */
const DOWNLOAD_HOST = 'https://cdn.playwright.dev/';
const REACH_TIMEOUT_MS = 5_000;
const DOWNLOAD_TIMEOUT_MS = 300_000;

/**
 * @typedef {object} Surroundings what the search looks at; a test passes its own.
 * @property {NodeJS.ProcessEnv} env
 * @property {NodeJS.Platform} platform
 * @property {string[]} usualPaths looked at after the search path.
 * @property {string | undefined} playwrightPath where Playwright would have put its own browser.
 */

/**
 * @param {Partial<Surroundings>} [given]
 * @returns {Promise<string | undefined>} the path of a browser that starts, undefined when there is none.
 * @throws {Error} when a variable names a browser that does not start: the person meant that one.
 */
export async function findBrowser(given = {}) {
  const env = given.env ?? process.env;
  const platform = given.platform ?? process.platform;
  const named = VARIABLES.find((variable) => env[variable]);
  if (named) {
    const path = /** @type {string} */ (env[named]);
    if (doesStart(path, platform)) return path;
    throw new Error(`${named} is "${path}", which is no browser that starts: correct it, or unset it.`);
  }
  const playwrightPath = 'playwrightPath' in given ? given.playwrightPath : await getPlaywrightPath();
  const paths = [
    ...onSearchPath(env['PATH'] ?? ''),
    ...(given.usualPaths ?? USUAL_PATHS[platform] ?? []),
    ...(playwrightPath ? [playwrightPath] : []),
  ];
  return paths.find((path) => doesStart(path, platform));
}

/**
 * @returns {Promise<string>} the path of a browser, installed when there was none.
 * @throws {Error} when none is there and none can be installed.
 */
export async function ensureBrowser() {
  return (
    (await findBrowser()) ??
    (await installFromPlaywright()) ??
    (await installFromDebian()) ??
    fail(
      'No Chrome or Chromium was found and none could be installed. ' +
        'Install Google Chrome or Chromium, or set CHROME_PATH to its program.',
    )
  );
}

/** @param {string} message @returns {never} */
function fail(message) {
  throw new Error(message);
}

/** @param {string} searchPath */
function onSearchPath(searchPath) {
  const folders = searchPath.split(delimiter).filter((folder) => folder !== '');
  return COMMANDS.flatMap((command) => folders.map((folder) => join(folder, command)));
}

/**
 * A file is not enough: Ubuntu's `chromium-browser` is a script that only says to install a snap.
 *
 * @param {string} path
 * @param {NodeJS.Platform} platform
 */
function doesStart(path, platform) {
  if (!existsSync(path)) return false;
  // Chrome on Windows opens a window instead of printing its version.
  if (platform === 'win32') return true;
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  return status === 0 && /chrom/i.test(stdout);
}

async function getPlaywrightPath() {
  try {
    const { chromium } = await import('@playwright/test');
    return chromium.executablePath();
  } catch {
    // Not installed yet, or no build for this system: then there is no such browser either.
    return undefined;
  }
}

async function installFromPlaywright() {
  if (!(await isReachable(DOWNLOAD_HOST))) return undefined;
  console.error("Installing Playwright's Chromium ...");
  const cli = join(ROOT, 'node_modules/@playwright/test/cli.js');
  // Its libraries come from Debian or Ubuntu packages, which only root may install.
  const withLibraries = process.platform === 'linux' && process.getuid?.() === 0 ? ['--with-deps'] : [];
  spawnSync(process.execPath, [cli, 'install', 'chromium', ...withLibraries], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: DOWNLOAD_TIMEOUT_MS,
  });
  return findBrowser();
}

async function installFromDebian() {
  return installPackages(['chromium']) ? findBrowser() : undefined;
}

/** @param {string} url @returns {Promise<boolean>} whether anything answers there soon. */
async function isReachable(url) {
  try {
    await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(REACH_TIMEOUT_MS) });
    return true;
  } catch {
    return false;
  }
}

if (isMain(import.meta.url)) {
  console.log((await findBrowser()) ?? 'no browser found');
}
