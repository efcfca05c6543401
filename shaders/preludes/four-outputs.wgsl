// Four neighbouring outputs of a weight at eight consecutive k: a column for each k, so that a product with
// four values of x gives four outputs.
struct FourOutputs {
  low: mat4x4f,
  high: mat4x4f,
}

fn four_outputs(n: u32, unit: u32) -> FourOutputs {
  // Outputs past the end repeat the last one: cheaper than a branch, and never stored.
  let last = N - 1u;
  let a = weight8(min(n, last), unit);
  let b = weight8(min(n + 1u, last), unit);
  let c = weight8(min(n + 2u, last), unit);
  let d = weight8(min(n + 3u, last), unit);
  return FourOutputs(transpose(mat4x4f(a[0], b[0], c[0], d[0])), transpose(mat4x4f(a[1], b[1], c[1], d[1])));
}
