/** Assembles `block-kernel.wat` into `block-kernel.wasm.ts`; run it by `npm run build:wasm` after a change. */
import { readFile, writeFile } from 'node:fs/promises';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import createWabt from 'wabt';

const FEATURES = { simd: true, multi_value: true, sat_float_to_int: true };

/** @returns {Promise<Uint8Array>} the bytes of the module */
export async function assembleBlockKernel() {
  const wabt = await createWabt();
  const text = await readFile(new URL('block-kernel.wat', import.meta.url), 'utf8');
  const module = wabt.parseWat('block-kernel.wat', text, FEATURES);
  try {
    module.resolveNames();
    module.validate();
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const base64 = Buffer.from(await assembleBlockKernel()).toString('base64');
  const lines = (base64.match(/.{1,96}/g) ?? []).map((line) => `  '${line}',`);
  const source = [
    '/** The bytes of `block-kernel.wat` in base64, made by `npm run build:wasm`. */',
    'export const BLOCK_KERNEL_WASM = [',
    ...lines,
    "].join('');",
    '',
  ].join('\n');
  await writeFile(new URL('block-kernel.wasm.ts', import.meta.url), source);
}
