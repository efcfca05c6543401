// Three columns of activations, whose digits an invocation keeps for its 32 values of K.
alias Columns = vec3f;

struct KeptColumns {
  a: Planes,
  b: Planes,
  c: Planes,
}

fn keep_columns(index: u32) -> KeptColumns {
  return KeptColumns(own_planes(0u, index), own_planes(1u, index), own_planes(2u, index));
}

fn dot_columns(words: vec4u, x: KeptColumns) -> Columns {
  return Columns(dot_group(words, x.a), dot_group(words, x.b), dot_group(words, x.c));
}
