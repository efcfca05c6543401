// What the forms of products with COLUMNS rows of activations in int8 digits share.
// Expects: const GROUPS (K / 32), COLUMNS, ROWS (a multiple of 4), and `x_codes` and `x_totals` from the shader.

const QUADS = ROWS / 4u;
// Vectors of four sums of a set of rows: value v is column v / QUADS, rows 4 (v % QUADS)...
const VALUES = COLUMNS * QUADS;

fn planes_of(column: u32, group: u32) -> Planes {
  let place = column * 4u * GROUPS + group;
  return Planes(
    x_codes[place],
    x_codes[place + GROUPS],
    x_codes[place + 2u * GROUPS],
    x_codes[place + 3u * GROUPS],
    x_totals[column * GROUPS + group],
  );
}
