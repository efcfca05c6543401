import type { AdapterMemory } from './adapter-memory.ts';

/** What is known of an adapter's memory from earlier proofs. */
export interface AllocationRecord {
  /** Most bytes that were allocated together; 0 when nothing is known. */
  readonly provedBytes: number;
  /** Fewest bytes that found no room. */
  readonly refusedBytes?: number | undefined;
  /** When that was, in milliseconds since 1970: other programs come and go. */
  readonly refusedAt?: number | undefined;
}

/** Remembers proofs by adapter. */
export type AllocationMemory = AdapterMemory<AllocationRecord>;

/** A refusal is believed so long. */
export const REFUSAL_MS = 10 * 60 * 1000;

/** The record after buffers of so many bytes found room. */
export function withProof(record: AllocationRecord | undefined, bytes: number): AllocationRecord {
  const provedBytes = Math.max(bytes, record?.provedBytes ?? 0);
  // What was refused and has room now was refused for a reason that has passed.
  if (record?.refusedBytes === undefined || record.refusedBytes <= bytes) return { provedBytes };
  return { ...record, provedBytes };
}

/** The record after buffers of so many bytes found no room. */
export function withRefusal(
  record: AllocationRecord | undefined,
  bytes: number,
  now = Date.now(),
): AllocationRecord {
  const provedBytes = record === undefined || record.provedBytes >= bytes ? 0 : record.provedBytes;
  return { provedBytes, refusedBytes: bytes, refusedAt: now };
}

/** Bytes that are known to find no room at present. */
export function refusedBytes(record: AllocationRecord | undefined, now = Date.now()): number {
  if (record?.refusedBytes === undefined || record.refusedAt === undefined) return Infinity;
  return now - record.refusedAt < REFUSAL_MS ? record.refusedBytes : Infinity;
}
