/**
 * Compiles `shaders/cuda` to `dist/cuda`: one fatbin with code for every supported GPU, and a list of the kernels with
 * their parameters, threads and shared memory, which is read off the preprocessed source.
 *
 * Not in `dist/node`, which the build of the command line empties.
 */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findNvcc, installNvcc } from './find-nvcc.mjs';

const SOURCE = fileURLToPath(new URL('../../shaders/cuda/all.cu', import.meta.url));
const OUTPUT = fileURLToPath(new URL('../../dist/cuda/', import.meta.url));

/** Format of `kernels.json`; `KERNEL_ABI` in cuda-kernels.ts. */
const ABI = 2;

/**
 * Machine code for Turing to Blackwell, and PTX for what comes later. sm_90a is Hopper with its own matrix
 * instructions, which no later GPU has.
 */
export const TARGETS = ['sm_75', 'sm_80', 'sm_86', 'sm_89', 'sm_90a', 'sm_100', 'sm_120', 'compute_75'];

const FLAGS = ['-std=c++17', '-O3', '--extra-device-vectorization'];

/** @param {string} target @returns {string} */
function generate(target) {
  const architecture = target.replace('sm_', 'compute_');
  return `-gencode=arch=${architecture},code=${target}`;
}

/**
 * @param {object} options
 * @param {import('./find-nvcc.mjs').Nvcc} options.nvcc
 * @param {string} options.folder where the two files go.
 * @param {readonly string[]} [options.targets]
 */
export async function buildCuda({ nvcc, folder, targets = TARGETS }) {
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, 'kernels.fatbin');
  const flags = [...FLAGS, ...targets.map(generate), '--threads', '0'];
  await promisify(execFile)(nvcc.path, [...flags, '-fatbin', '-o', binary, SOURCE]);
  const kernels = readKernels(preprocess(nvcc));
  const sha256 = createHash('sha256').update(readFileSync(binary)).digest('hex');
  const manifest = { abi: ABI, cuda: nvcc.version, targets, sha256, kernels };
  writeFileSync(join(folder, 'kernels.json'), `${JSON.stringify(manifest, null, 1)}\n`);
  return manifest;
}

/** @param {import('./find-nvcc.mjs').Nvcc} nvcc @returns {string} */
export function preprocess({ path }) {
  const options = { encoding: /** @type {const} */ ('utf8'), maxBuffer: 2 ** 28 };
  return execFileSync(path, [...FLAGS, '-arch=sm_90', '-E', SOURCE], options);
}

/** What the macro `KERNEL` expands to: the shared memory, then the function. */
const KERNEL =
  /enum : u32 \{\s*(\w+)__shared_bytes = \(([^}]*)\)\s*\};\s*extern "C"\s+[^;{]*?\(\(launch_bounds\(([^)]*)\)\)\)\s*(\w+)\s*\(([^)]*)\)/g;

/** `constexpr u32 NAME = value, ...` of the source, for the numbers that a kernel's macro names. */
const CONSTANT = /constexpr\s+(?:int|u32|unsigned int)\s+([^;]*);/g;

/**
 * @typedef {{ name: string, type: 'buffer' | 'table' | 'u32' | 'f32', bytes?: number }} Parameter
 * @typedef {{ threads: number, sharedBytes: number, parameters: Parameter[], isCooperative?: true }} Kernel
 * @param {string} text
 * @returns {Record<string, Kernel>}
 */
export function readKernels(text) {
  const constants = readConstants(text);
  /** @type {Record<string, Kernel>} */
  const kernels = {};
  for (const [, , shared, threads, name, parameters] of text.matchAll(KERNEL)) {
    kernels[/** @type {string} */ (name)] = {
      threads: evaluate(String(threads).split(',')[0] ?? '', constants),
      sharedBytes: evaluate(String(shared), constants),
      parameters: readParameters(String(parameters), constants),
      ...(text.includes(`${name}__is_cooperative`) && { isCooperative: true }),
    };
  }
  return kernels;
}

/**
 * A type `NameTable` is a struct of addresses, whose size is the constant `NAME_TABLE_BYTES`.
 *
 * @param {string} text @param {Map<string, number>} constants @returns {Parameter[]}
 */
function readParameters(text, constants) {
  return text.split(',').map((parameter) => {
    const name = /(\w+)\s*$/.exec(parameter)?.[1] ?? '';
    if (parameter.includes('*')) return { name, type: 'buffer' };
    const table = /\b([A-Z]\w*)Table\b/.exec(parameter)?.[1];
    if (table)
      return { name, type: 'table', bytes: evaluate(`${table.toUpperCase()}_TABLE_BYTES`, constants) };
    return { name, type: /\bfloat\b/.test(parameter) ? 'f32' : 'u32' };
  });
}

/** @param {string} text @returns {Map<string, number>} */
function readConstants(text) {
  const constants = new Map();
  for (const [, list] of text.matchAll(CONSTANT)) {
    for (const entry of String(list).split(',')) {
      const [name, value] = entry.split('=').map((part) => part.trim());
      if (!name || !value || !/^[\w\s*+()]+$/.test(value)) continue;
      try {
        constants.set(name, evaluate(value, constants));
      } catch {
        // Of a template's own parameters: no kernel's macro names it.
      }
    }
  }
  return constants;
}

/** Sums and products of numbers and known names. @param {string} expression @param {Map<string, number>} constants */
function evaluate(expression, constants) {
  const numbers = expression.replace(/[A-Za-z_]\w*/g, (name) => {
    const value = constants.get(name);
    if (value === undefined) throw new Error(`Unknown name "${name}" in "${expression}".`);
    return String(value);
  });
  if (!/^[\d\s*+()]+$/.test(numbers)) throw new Error(`Cannot evaluate "${expression}".`);
  return Number(new Function(`return (${numbers});`)());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // `--if-found` is for packing: a package without the kernels works, and its helper says what is missing.
  const nvcc = findNvcc() ?? (process.argv.includes('--if-found') ? undefined : installNvcc());
  if (nvcc) {
    const { kernels, targets } = await buildCuda({ nvcc, folder: OUTPUT });
    const count = Object.keys(kernels).length;
    process.stderr.write(`${count} kernels for ${targets.join(', ')} by nvcc ${nvcc.version} in ${OUTPUT}\n`);
  } else {
    process.stderr.write(
      'No nvcc of CUDA 12.9 or later: the CUDA kernels were NOT built. "npm run build:cuda" fetches a compiler.\n',
    );
  }
}
