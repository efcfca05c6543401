/**
 * Installs the project's dependencies when they are missing or differ from the lock file. It imports nothing
 * that would have to be installed first, so that a fresh clone needs only Node and the network.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMain } from './is-main.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OLDEST_NODE = [20, 19];

/** Written after each install: optional packages may be absent by right, so the lock file alone cannot tell. */
const STAMP = 'node_modules/.autoglm-installed';

/**
 * @param {string} version as in `process.versions.node`
 * @returns {boolean} whether this Node is at least the one `package.json` asks for.
 */
export function isNodeSupported(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/**
 * @param {string} root the folder that holds `package-lock.json`.
 * @returns {boolean} whether `node_modules` holds what the lock file says.
 */
export function isInstalled(root) {
  const hiddenLock = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(hiddenLock)) return false;
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  if (readStamp(root) === hash(lockText)) return true;
  const wanted = readPackages(lockText);
  const present = readPackages(readFileSync(hiddenLock, 'utf8'));
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const installed = present[path];
    return installed
      ? installed.version === entry.version
      : entry.optional === true && !isDirect(wanted, path);
  });
}

/** Runs `npm ci` where it is needed. @param {string} root */
export function ensureInstalled(root) {
  if (!isNodeSupported(process.versions.node)) {
    throw new Error(`Node ${process.versions.node} is too old: Node >= ${OLDEST_NODE.join('.')} is needed.`);
  }
  if (isInstalled(root)) return;
  console.error('Installing dependencies (npm ci) ...');
  // A machine set to production would leave out the very packages that build and test.
  runNpm(root, ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund']);
  writeFileSync(join(root, STAMP), hash(readFileSync(join(root, 'package-lock.json'), 'utf8')));
}

/** @param {string} root @param {string[]} args */
function runNpm(root, args) {
  const npm = process.env['npm_execpath'];
  const viaNode = npm !== undefined && /npm-cli\.c?js$/.test(npm);
  const { status, error } = viaNode
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    : spawnSync('npm', args, {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit'],
        // On Windows npm is a .cmd file, which only a shell starts.
        shell: process.platform === 'win32',
      });
  if (error || status !== 0) {
    throw new Error(`npm ${args[0]} failed (${error?.message ?? `exit ${status}`}): see its output above.`);
  }
}

/**
 * @typedef {{ version?: string, optional?: boolean, optionalDependencies?: Record<string, string> }} LockedPackage
 * @param {string} lockText
 * @returns {Record<string, LockedPackage>}
 */
function readPackages(lockText) {
  return JSON.parse(lockText).packages ?? {};
}

/** @param {Record<string, LockedPackage>} wanted @param {string} path */
function isDirect(wanted, path) {
  return path.replace('node_modules/', '') in (wanted['']?.optionalDependencies ?? {});
}

/** @param {string} root */
function readStamp(root) {
  const path = join(root, STAMP);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** @param {string} text */
function hash(text) {
  return createHash('sha256').update(text).digest('hex');
}

if (isMain(import.meta.url)) {
  try {
    ensureInstalled(ROOT);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
