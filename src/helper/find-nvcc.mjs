/** Where the CUDA compiler is: CUDA_HOME, the PATH, or a Python environment that is made for it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What a compiler without a toolkit needs, on PyPI. */
const PACKAGES = [
  'nvidia-cuda-nvcc>=13',
  'nvidia-cuda-crt>=13',
  'nvidia-nvvm>=13',
  'nvidia-cuda-runtime>=13',
  'nvidia-cuda-cccl>=13',
];

/** The oldest compiler that knows all targets. */
const LEAST_VERSION = 12.9;

/**
 * @typedef {object} Nvcc
 * @property {string} path
 * @property {string} version such as `13.0`.
 */

/**
 * Finds nvcc without fetching anything.
 *
 * @returns {Nvcc | undefined}
 */
export function findNvcc() {
  const { CUDA_HOME, CUDA_PATH } = process.env;
  const homes = [CUDA_HOME, CUDA_PATH, '/usr/local/cuda'].filter((home) => home !== undefined);
  const paths = [...homes.map((home) => join(home, 'bin', 'nvcc')), 'nvcc', ...environmentPaths()];
  for (const path of paths) {
    const version = readVersion(path);
    if (version !== undefined && Number(version) >= LEAST_VERSION) return { path, version };
  }
  return undefined;
}

/**
 * Installs NVIDIA's own wheels of the compiler (370 MB) into a Python environment in the cache folder.
 *
 * @returns {Nvcc}
 */
export function installNvcc() {
  const folder = environmentFolder();
  mkdirSync(folder, { recursive: true });
  execFileSync('python3', ['-m', 'venv', folder], { stdio: 'inherit' });
  const pip = join(folder, 'bin', 'pip');
  execFileSync(pip, ['install', '--quiet', ...PACKAGES], { stdio: ['ignore', 2, 2] });
  const found = findNvcc();
  if (!found) throw new Error(`No nvcc came with ${PACKAGES.join(', ')} in ${folder}.`);
  return found;
}

/** @param {string} path @returns {string | undefined} */
function readVersion(path) {
  try {
    const text = execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /release (\d+\.\d+)/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

function environmentFolder() {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return join(cache, 'autoglm', 'cuda-compiler');
}

/** @returns {string[]} */
function environmentPaths() {
  const libraries = join(environmentFolder(), 'lib');
  if (!existsSync(libraries)) return [];
  return readdirSync(libraries).map((python) =>
    join(libraries, python, 'site-packages', 'nvidia', 'cu13', 'bin', 'nvcc'),
  );
}
