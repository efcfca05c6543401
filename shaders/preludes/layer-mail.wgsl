// How workgroups of one dispatch hand values to each other: in `mail` a value is its own flag, as a word that has not come
// yet is 0. So nothing depends on the order in which two writes are seen, only on each being seen at some time. Whoever
// waits too long says so in the word STATUS and goes on; the step is then worthless, but it ends.
// Expects: the buffer `mail` of atomic words, and const STATUS.

struct Octet {
  a: vec4f,
  b: vec4f,
}

const NOT_A_NUMBER = 0x7fc00000u;
// Looks at the mail before a workgroup gives up: tens of milliseconds.
const PATIENCE = 20000u;

fn send(place: u32, value: f32) {
  let bits = ~bitcast<u32>(value);
  atomicStore(&mail[place], select(bits, ~NOT_A_NUMBER, bits == 0u));
}

// Four values to places `stride` apart.
fn send_quad(place: u32, stride: u32, value: vec4f) {
  send(place, value.x);
  send(place + stride, value.y);
  send(place + 2u * stride, value.z);
  send(place + 3u * stride, value.w);
}

fn received(words: vec4u) -> vec4f { return bitcast<vec4f>(~words); }

// Whether it is time to stop looking, which STATUS then tells the others.
fn gives_up(looks: u32) -> bool {
  if (looks < PATIENCE && (looks % 64u != 63u || atomicLoad(&mail[STATUS]) == 0u)) { return false; }
  atomicStore(&mail[STATUS], 1u);
  return true;
}

// Four words that lie `stride` apart.
fn look(place: u32, stride: u32) -> vec4u {
  return vec4u(
    atomicLoad(&mail[place]),
    atomicLoad(&mail[place + stride]),
    atomicLoad(&mail[place + 2u * stride]),
    atomicLoad(&mail[place + 3u * stride]),
  );
}

// Before many words that come together, the last of them: looking at them all would keep the memory busy.
fn wait_for(place: u32) {
  for (var looks = 0u; atomicLoad(&mail[place]) == 0u; looks++) {
    if (gives_up(looks)) { break; }
  }
}

// Eight values that lie `stride` apart.
fn receive_octet(place: u32, stride: u32) -> Octet {
  wait_for(place + 7u * stride);
  var a: vec4u;
  var b: vec4u;
  for (var looks = 0u; ; looks++) {
    a = look(place, stride);
    b = look(place + 4u * stride, stride);
    if (all(min(a, b) != vec4u(0)) || gives_up(looks)) { break; }
  }
  return Octet(received(a), received(b));
}
