/** Set in a token that is the index of an image feature row instead of a vocabulary id. */
export const IMAGE_FLAG = 0x80000000;

/**
 * CPU twin of `embed-tokens.wgsl`: tokens [T] to [T, C], each the row of the table [V, C] or, with
 * `IMAGE_FLAG`, the row of the image features [image tokens, C].
 */
export function embedTokensReference(
  tokens: readonly number[],
  table: Float32Array,
  features: Float32Array,
  C: number,
): Float32Array {
  const hidden = new Float32Array(tokens.length * C);
  tokens.forEach((token, t) => {
    const [rows, row] = token >= IMAGE_FLAG ? [features, token - IMAGE_FLAG] : [table, token];
    hidden.set(rows.subarray(row * C, (row + 1) * C), t * C);
  });
  return hidden;
}
