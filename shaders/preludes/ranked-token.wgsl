// What the two kernels for log-probabilities pass on.
struct RankedToken {
  // NO_TOKEN where fewer tokens than asked for have a finite logit.
  id: u32,
  // Logit or log-probability; LOWEST where the row has a NaN or +infinity.
  value: f32,
}
// Largest logit, and sum of exp(logit - largest).
struct SoftmaxPart {
  largest: f32,
  sum: f32,
}
