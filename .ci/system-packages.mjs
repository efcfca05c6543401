import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const APT = '/usr/bin/apt-get';
const INSTALL_TIMEOUT_MS = 300_000;

/**
 * Installs Debian or Ubuntu packages, as root or through a `sudo` that asks for no password.
 *
 * @param {string[]} names
 * @returns {boolean} whether they are installed now; false also where this is not such a system.
 */
export function installPackages(names) {
  if (process.platform !== 'linux' || !existsSync(APT)) return false;
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  console.error(`Installing ${names.join(' and ')} (apt-get) ...`);
  return (
    run([...asRoot, APT, 'update', '-q']) &&
    run([...asRoot, APT, 'install', '-y', '-q', '--no-install-recommends', ...names])
  );
}

/** @param {string[]} command @returns {boolean} */
function run([program = '', ...args]) {
  const { status } = spawnSync(program, args, {
    // Without a terminal, a package that asks a question would wait for ever.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: INSTALL_TIMEOUT_MS,
  });
  return status === 0;
}
