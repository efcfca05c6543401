import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { assert } from '../base/assert.ts';
import { AutoglmError } from '../base/errors.ts';
import type { ProgramDescriptor } from '../gpu/device.ts';

/**
 * One parameter of a kernel; a `buffer` is a binding, a `table` the addresses of all bindings `<name>.…` in their order,
 * and the others are constants or shape.
 */
export interface KernelParameter {
  readonly name: string;
  readonly type: 'buffer' | 'table' | 'u32' | 'f32';
  /** Size of a table. */
  readonly bytes?: number;
}

/** A compiled kernel, as the build found it in the source. */
export interface KernelFacts {
  /** Threads of a block. */
  readonly threads: number;
  /** Bytes of dynamic shared memory. */
  readonly sharedBytes: number;
  readonly parameters: readonly KernelParameter[];
  /** Its blocks wait for each other: all of them must run at once. */
  readonly isCooperative?: boolean;
}

/** What `build-cuda.mjs` writes beside the binary. */
export interface KernelManifest {
  /** Version of this format. */
  readonly abi: number;
  /** CUDA version of the compiler, such as 13.0: the oldest that a driver may have. */
  readonly cuda: string;
  /** Targets in the binary, such as `sm_90a`; PTX as `compute_75`. */
  readonly targets: readonly string[];
  /** sha256 of the binary. */
  readonly sha256: string;
  readonly kernels: Readonly<Record<string, KernelFacts>>;
}

/** The kernels with the binary that holds them. */
export interface KernelBinary {
  readonly manifest: KernelManifest;
  readonly image: Uint8Array;
}

/** Format of the manifest that this code reads. */
export const KERNEL_ABI = 2;

/** Where the binary may be, seen from the built command, its chunks, and the source. */
const FOLDERS = ['../cuda/', './cuda/', '../../cuda/', '../../dist/cuda/'];

/**
 * Reads the compiled kernels that the package ships. `AUTOGLM_CUDA_KERNELS` names another folder.
 *
 * @throws AutoglmError `cuda-unavailable` when they are missing, damaged, or of another version
 */
export async function readKernelBinary(): Promise<KernelBinary> {
  const named = process.env['AUTOGLM_CUDA_KERNELS'];
  const folders = named
    ? [`${named}/`]
    : FOLDERS.map((path) => fileURLToPath(new URL(path, import.meta.url)));
  for (const folder of folders) {
    const manifestText = await readFile(`${folder}kernels.json`, 'utf8').catch(() => undefined);
    if (manifestText === undefined) continue;
    const manifest = JSON.parse(manifestText) as KernelManifest;
    if (manifest.abi !== KERNEL_ABI) throw wrongVersion(manifest.abi);
    const image = new Uint8Array(await readFile(`${folder}kernels.fatbin`));
    await requireHash(image, manifest.sha256);
    return { manifest, image };
  }
  throw new AutoglmError('cuda-unavailable', 'This build has no CUDA kernels.', {
    value: folders,
    cure: 'Build them with "npm run build:cuda", or use --device webgpu.',
  });
}

async function requireHash(image: Uint8Array<ArrayBuffer>, expected: string): Promise<void> {
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', image)).toString('hex');
  if (digest === expected) return;
  throw new AutoglmError('cuda-unavailable', 'The CUDA kernels and their list do not belong together.', {
    value: digest,
    limit: expected,
    cure: 'Install the package again.',
  });
}

function wrongVersion(value: number): AutoglmError {
  return new AutoglmError('cuda-unavailable', `The CUDA kernels are of version ${value}.`, {
    value,
    limit: KERNEL_ABI,
    cure: 'Install the package again.',
  });
}

/** A program's kernel with what it is called with. */
export interface ResolvedKernel {
  readonly symbol: string;
  readonly facts: KernelFacts;
  /** Values of the parameters that are not buffers, by name. */
  readonly constants: Readonly<Record<string, number>>;
}

/**
 * Finds the kernel of a program: the symbol is the shader's name, and each `__` part of it is the name of one of the
 * program's preludes, or `NAME_value` of its shape. Every parameter that is not a buffer must have a value.
 */
export function resolveKernel(manifest: KernelManifest, descriptor: ProgramDescriptor): ResolvedKernel {
  const base = toSymbol(descriptor.shader);
  const variants = new Set([
    ...(descriptor.preludes ?? []).map(({ name }) => toSymbol(name)),
    ...Object.entries(descriptor.shape ?? {}).map(([name, value]) => `${name}_${value}`),
  ]);
  const symbols = Object.keys(manifest.kernels).filter((symbol) => {
    const [name, ...parts] = symbol.split('__');
    return name === base && parts.every((part) => variants.has(part));
  });
  const wanted = [base, ...variants].join('__');
  assert(symbols.length > 0, `no CUDA kernel fits "${wanted}"`);
  assert(symbols.length === 1, `several CUDA kernels fit "${wanted}": ${symbols.join(', ')}`);
  const symbol = symbols[0];
  const facts = manifest.kernels[symbol];
  const constants = { ...descriptor.shape, ...descriptor.constants };
  const missing = facts.parameters.find(({ name, type }) => !isMemory(type) && !(name in constants));
  assert(missing === undefined, `"${symbol}" needs a value for "${missing?.name}"`);
  return { symbol, facts, constants };
}

/** Names of a kernel's buffers and tables in order. */
export function bufferNames({ parameters }: KernelFacts): string[] {
  return parameters.filter(({ type }) => isMemory(type)).map(({ name }) => name);
}

/** The buffer or table that a binding belongs to. */
export function parameterOf(binding: string): string {
  return binding.split('.')[0];
}

function isMemory(type: KernelParameter['type']): boolean {
  return type === 'buffer' || type === 'table';
}

function toSymbol(name: string): string {
  return name.replaceAll('-', '_');
}
