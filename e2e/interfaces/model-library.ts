/**
 * A library for web-llm's runtime that computes nothing: it gives out handles for whatever functions are asked for, and
 * memory. With it web-llm itself gets as far as a model's tokenizer and weights, as with a compiled model.
 */
import createWabt from 'wabt';

const SILENT = [
  'TVMWasmFreeSpace',
  'TVMFFIFunctionCall',
  'TVMFFIFunctionSetGlobal',
  'TVMFFIObjectDecRef',
  'TVMFFIObjectIncRef',
  'TVMFFIWasmGetLastError',
];

const TEXT = `(module
  (memory (export "memory") 256)
  (global $top (mut i32) (i32.const 65536))
  (func $allocate (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get $bytes)) (i32.const 15)) (i32.const -16)))
    (local.get $at))
  (func (export "TVMWasmAllocSpace") (param $bytes i32) (result i32) (call $allocate (local.get $bytes)))
  (func $handle (param $out i32) (result i32)
    (i32.store (local.get $out) (call $allocate (i32.const 16)))
    (i32.const 0))
  (func (export "TVMFFIFunctionGetGlobal") (param i32 i32) (result i32) (call $handle (local.get 1)))
  (func (export "TVMFFIWasmFunctionCreate") (param i32 i32) (result i32) (call $handle (local.get 1)))
  (func (export "TVMFFITypeKeyToIndex") (param i32 i32) (result i32) (call $handle (local.get 1)))
  (func (export "_initialize"))
  ${SILENT.map((name) => `(func (export "${name}") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0))`).join('\n')}
)`;

/** Assembles it. */
export async function assembleModelLibrary(): Promise<Uint8Array> {
  const wabt = await createWabt();
  const module = wabt.parseWat('model-library.wat', TEXT);
  try {
    module.resolveNames();
    module.validate();
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}
