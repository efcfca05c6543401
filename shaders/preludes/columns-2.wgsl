// Two columns of activations, whose digits an invocation keeps for its 32 values of K.
alias Columns = vec2f;

struct KeptColumns {
  a: Planes,
  b: Planes,
}

fn keep_columns(index: u32) -> KeptColumns {
  return KeptColumns(own_planes(0u, index), own_planes(1u, index));
}

fn dot_columns(words: vec4u, x: KeptColumns) -> Columns {
  return Columns(dot_group(words, x.a), dot_group(words, x.b));
}
