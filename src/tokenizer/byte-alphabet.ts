/**
 * The printable stand-ins that byte-level BPE writes for bytes: GPT-2's alphabet, the one of every
 * tokenizer.json with a `ByteLevel` step.
 */
const FIRST_STAND_IN = 256;

/** The character that stands for each byte, by byte value. */
export const CHARACTER_OF_BYTE: readonly string[] = buildAlphabet();

const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  CHARACTER_OF_BYTE.map((character, byte) => [character, byte]),
);

/**
 * Bytes that a byte-level token stands for. A token with a character outside of the alphabet stands for
 * itself in UTF-8, as in the Rust implementation.
 */
export function toTokenBytes(token: string): Uint8Array {
  const bytes = Array.from(token, (character) => BYTE_OF_CHARACTER.get(character));
  const isComplete = bytes.every((byte) => byte !== undefined);
  return isComplete ? Uint8Array.from(bytes as number[]) : new TextEncoder().encode(token);
}

function buildAlphabet(): string[] {
  let next = FIRST_STAND_IN;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}
