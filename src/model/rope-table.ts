/**
 * Cosine and sine [positions, dimensions / 2, 2] of the rotary embedding: pair j turns by
 * position * theta^(-2j / dimensions). Angles are rounded to f32 as the reference does; the functions are
 * taken in f64, because WGSL's lose precision for large angles.
 */
export function createRopeTable(
  positions: number,
  dimensions: number,
  theta: number,
): Float32Array<ArrayBuffer> {
  const pairs = dimensions / 2;
  const table = new Float32Array(positions * pairs * 2);
  const frequencies = Float32Array.from({ length: pairs }, (_, pair) => theta ** ((-2 * pair) / dimensions));
  for (let position = 0; position < positions; position++) {
    for (let pair = 0; pair < pairs; pair++) {
      const angle = Math.fround(position * frequencies[pair]);
      const index = (position * pairs + pair) * 2;
      table[index] = Math.cos(angle);
      table[index + 1] = Math.sin(angle);
    }
  }
  return table;
}
