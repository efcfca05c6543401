import type { ShardEntry } from './manifest.ts';
import { digestPiece } from './sha256.ts';

/**
 * What a shard's bytes are known by in a cache; `undefined` where its folder lists no hash. A key follows from what
 * is checked, or one model could put its bytes under another's key.
 */
export async function contentKey({ sha256, pieceDigests }: ShardEntry): Promise<string | undefined> {
  if (pieceDigests === undefined) return sha256;
  return `pieces-${await digestPiece(new TextEncoder().encode(pieceDigests.join()))}`;
}
