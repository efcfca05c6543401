enable subgroups;
// A decoder layer from its attention to what follows it, in one dispatch: attention over splits of the keys and their
// join (preludes/layer-attention.wgsl, or layer-joins-splits.wgsl after a dispatch for the splits), o, the norms around
// it, gate/up with SwiGLU, down, its norms, and in `finish` (preludes/layer-end-*.wgsl) the next layer's qkv. A dispatch
// of its own costs each of those 4 us and more on a large GPU, of which memory is idle for most.
//
// WORKGROUPS workgroups, all of which must run at the same time: each computes a block of each product's rows and waits
// for the others' in between. They meet in `mail` (preludes/layer-mail.wgsl), which must be zero at the start; each
// dispatch clears the one of the dispatch before. The first rows of each product are on their way before the wait for
// its activations.
// Every subgroup must have SUBGROUP invocations.

@group(0) @binding(0) var<storage, read> layer: array<vec4u>;
// [H, D] queries, then from RESIDUAL on the residual stream.
@group(0) @binding(1) var<storage, read> stream: array<vec4f>;
@group(0) @binding(4) var<storage, read> rows: array<Row>;
@group(0) @binding(5) var<storage, read_write> mail: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read_write> old_mail: array<u32>;
@group(0) @binding(7) var<storage, read> next: array<vec4u>;

override EPSILON: f32;

const C_GROUPS = C / 32u;
const HD_GROUPS = HD / 32u;
const F_GROUPS = F / 32u;
const C_OCTETS = C / 8u;
const HD_OCTETS = HD / 8u;
const SUBGROUPS = WORKGROUP / SUBGROUP;
// Where `stream` has the residual stream, in vectors.
const RESIDUAL = HD / 4u;

// What lies in `mail`: what attention exchanges, then [HD], [C], [F] and [C] values, each in the order in which it is
// received.
const ATTENDED = 0u;
const JOINED = ATTENDED + ATTENTION_WORDS;
const PROJECTED = JOINED + HD;
const ACTIVATED = PROJECTED + C;
const REDUCED = ACTIVATED + F;
const STATUS = REDUCED + C;
// Only for counting: workgroups that came, and how many ran at the same time.
const ARRIVED = STATUS + 1u;
const RESIDENTS = STATUS + 2u;

var<workgroup> codes: array<vec4u, 4u * MOST_OCTETS / 4u>;
var<workgroup> totals: array<vec2f, MOST_OCTETS / 4u>;
// The subgroups' sums of squares before both norms of a sandwich.
var<workgroup> squares: array<vec4f, 2u * SQUARES>;

var<private> residual: Octet;

// Rounds octets, one an invocation, and takes the digits of the invocation's own group.
fn share_digits(octets: u32, lanes: u32, a: vec4f, b: vec4f, index: u32) {
  var largest = largest_bits(a, b);
  largest = max(largest, subgroupShuffleXor(largest, 1u));
  largest = max(largest, subgroupShuffleXor(largest, 2u));
  let step = step_of(largest);
  let octet = split_octet(a * (1.0 / step), b * (1.0 / step));
  var sum = octet.sum;
  sum += subgroupShuffleXor(sum, 1u);
  sum += subgroupShuffleXor(sum, 2u);
  let digits = Digits(octet.words, vec2f(step, 7.0 * step * f32(sum)));
  let groups = octets / 4u;
  if (index < octets) {
    for (var plane = 0u; plane < 4u; plane++) {
      codes[plane * groups + index / 4u][index % 4u] = digits.words[plane];
    }
    if (index % 4u == 0u) {
      totals[index / 4u] = digits.total;
    }
  }
  workgroupBarrier();
  let lane = index % lanes;
  let group = min(lane, groups - 1u);
  x = Planes(
    codes[group],
    codes[groups + group],
    codes[2u * groups + group],
    codes[3u * groups + group],
    select(vec2f(0), totals[group], lane < groups),
  );
}

// A group of 32 values that no other invocation shares, rounded as preludes/round-int8.wgsl does.
fn receive_group(lane: u32) {
  let place = ACTIVATED + min(lane, F_GROUPS - 1u);
  wait_for(place + 31u * F_GROUPS);
  // All in one look: looks that depend on each other would take one after the other.
  var a: array<vec4u, 2>;
  var b: array<vec4u, 2>;
  var c: array<vec4u, 2>;
  var d: array<vec4u, 2>;
  for (var looks = 0u; ; looks++) {
    a = array(look(place, F_GROUPS), look(place + 4u * F_GROUPS, F_GROUPS));
    b = array(look(place + 8u * F_GROUPS, F_GROUPS), look(place + 12u * F_GROUPS, F_GROUPS));
    c = array(look(place + 16u * F_GROUPS, F_GROUPS), look(place + 20u * F_GROUPS, F_GROUPS));
    d = array(look(place + 24u * F_GROUPS, F_GROUPS), look(place + 28u * F_GROUPS, F_GROUPS));
    let least = min(min(min(a[0], a[1]), min(b[0], b[1])), min(min(c[0], c[1]), min(d[0], d[1])));
    if (all(least != vec4u(0)) || gives_up(looks)) { break; }
  }
  round_group(
    Octet(received(a[0]), received(a[1])), Octet(received(b[0]), received(b[1])),
    Octet(received(c[0]), received(c[1])), Octet(received(d[0]), received(d[1])),
    lane,
  );
}

fn round_group(a: Octet, b: Octet, c: Octet, d: Octet, lane: u32) {
  let largest = max(max(largest_bits(a.a, a.b), largest_bits(b.a, b.b)), max(largest_bits(c.a, c.b), largest_bits(d.a, d.b)));
  let step = step_of(largest);
  let inverse = 1.0 / step;
  let p = split_octet(a.a * inverse, a.b * inverse);
  let q = split_octet(b.a * inverse, b.b * inverse);
  let r = split_octet(c.a * inverse, c.b * inverse);
  let s = split_octet(d.a * inverse, d.b * inverse);
  x = Planes(
    vec4u(p.words.x, q.words.x, r.words.x, s.words.x),
    vec4u(p.words.y, q.words.y, r.words.y, s.words.y),
    vec4u(p.words.z, q.words.z, r.words.z, s.words.z),
    vec4u(p.words.w, q.words.w, r.words.w, s.words.w),
    select(vec2f(0), vec2f(step, 7.0 * step * f32(p.sum + q.sum + r.sum + s.sum)), lane < F_GROUPS),
  );
}

fn norm_octet(place: u32) -> Octet {
  return Octet(bitcast<vec4f>(layer[place]), bitcast<vec4f>(layer[place + 1u]));
}

// Vectors of a sum of squares for each subgroup.
const SQUARES = SUBGROUPS / 4u;
const_assert SUBGROUPS >= 4u;
// The norms of a sandwich: after a product, before the next one.
const POST = 0u;
const PRE = SQUARES;

fn share_squares(norm: u32, value: f32, index: u32) {
  let sum = subgroupAdd(value);
  let subgroup = index / SUBGROUP;
  if (index % SUBGROUP == 0u) { squares[norm + subgroup / 4u][subgroup % 4u] = sum; }
}

fn rms_scale(norm: u32) -> f32 {
  var total = squares[norm];
  for (var i = 1u; i < SQUARES; i++) { total += squares[norm + i]; }
  return inverseSqrt(dot(total, vec4f(1)) / f32(C) + EPSILON);
}

// residual += rms(what came at `place`) * post, and the digits of residual * pre. What makes rms(residual) of it is
// left to the products' sums: `pre_scale`.
fn sandwich(place: u32, post: Octet, pre: Octet, index: u32) {
  let is_octet = index < C_OCTETS;
  let octet = min(index, C_OCTETS - 1u);
  let values = receive_octet(place + octet, C_OCTETS);
  let own = dot(values.a, values.a) + dot(values.b, values.b);
  share_squares(POST, select(0f, own, is_octet), index);
  workgroupBarrier();
  let post_scale = rms_scale(POST);
  let a = residual.a + values.a * post_scale * post.a;
  let b = residual.b + values.b * post_scale * post.b;
  residual = Octet(a, b);
  share_squares(PRE, select(0f, dot(a, a) + dot(b, b), is_octet), index);
  share_digits(C_OCTETS, LANES_C, a * pre.a, b * pre.b, index);
}

// For products of what `sandwich` left, until the next one.
fn pre_scale() -> f32 { return rms_scale(PRE); }

// The first eight invocations' quads of a block of 32 attended outputs.
fn send_joined(block: u32, value: vec4f, index: u32) {
  for (var i = 0u; i < 4u; i++) {
    let k = block * 32u + index * 4u + i;
    send(JOINED + (k % 8u) * HD_OCTETS + k / 8u, value[i]);
  }
}

// A projection's rows go to where their octets are received.
fn send_rows(part: Rows, place: u32, index: u32) {
  for (var quad = index; quad < part.count / 4u; quad += WORKGROUP) {
    let n = part.first + quad * 4u;
    send_quad(place + n % 8u * C_OCTETS + n / 8u, C_OCTETS, quad_total(quad, part.lanes));
  }
  workgroupBarrier();
}

// How many workgroups run at the same time: those that came before the first one lost its patience.
fn count_residents(index: u32) {
  if (index > 0u) { return; }
  atomicAdd(&mail[ARRIVED], 1u);
  for (var looks = 0u; looks < PATIENCE; looks++) {
    if (atomicLoad(&mail[RESIDENTS]) != 0u) { return; }
  }
  atomicMax(&mail[RESIDENTS], atomicLoad(&mail[ARRIVED]));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(local_invocation_index) index: u32) {
  let workgroup = workgroup_id.x;
  if (rows[0].is_counting != 0u) {
    count_residents(index);
    return;
  }
  let c_block = block_of(C, C_BLOCK, workgroup);
  let f_block = block_of(F, F_BLOCK, workgroup);
  let o = Rows(
    O_WEIGHT, O_SCALE, HD_GROUPS, LANES_HD, c_block.x, c_block.y, c_block.y, 0u, rounds_of(C_BLOCK, LANES_HD), false,
  );
  let gate_up = Rows(
    GATE_UP_WEIGHT, GATE_UP_SCALE, C_GROUPS, LANES_C, f_block.x, f_block.y * 2u, f_block.y, F - f_block.y,
    rounds_of(2u * F_BLOCK, LANES_C), false,
  );
  let down = Rows(
    DOWN_WEIGHT, DOWN_SCALE, F_GROUPS, WORKGROUP, c_block.x, c_block.y, c_block.y, 0u, rounds_of(C_BLOCK, WORKGROUP),
    false,
  );
  let last = after_down(workgroup);

  let octet = min(index, C_OCTETS - 1u) * 2u;
  residual = Octet(stream[RESIDUAL + octet], stream[RESIDUAL + octet + 1u]);
  for (var word = workgroup * WORKGROUP + index; word <= STATUS; word += WORKGROUPS * WORKGROUP) {
    old_mail[word] = 0u;
  }
  attend(workgroup, index);
  load_first(o, index);
  for (var block = workgroup; block < HD_GROUPS; block += WORKGROUPS) {
    join(block, index);
  }
  let joined = receive_octet(JOINED + min(index, HD_OCTETS - 1u), HD_OCTETS);
  share_digits(HD_OCTETS, LANES_HD, joined.a, joined.b, index);
  multiply(o, index);
  send_rows(o, PROJECTED, index);

  load_first(gate_up, index);
  let post_attention = norm_octet(POST_ATTENTION + octet);
  let pre_mlp = norm_octet(PRE_MLP + octet);
  sandwich(PROJECTED, post_attention, pre_mlp, index);
  multiply(gate_up, index);
  let scale = pre_scale();
  for (var quad = index; quad < f_block.y / 4u; quad += WORKGROUP) {
    let gate = scale * quad_total(quad, LANES_C);
    let value = gate / (1.0 + exp(-gate)) * scale * quad_total(f_block.y / 4u + quad, LANES_C);
    let n = f_block.x + quad * 4u;
    send_quad(ACTIVATED + n % 32u * F_GROUPS + n / 32u, F_GROUPS, value);
  }
  workgroupBarrier();

  load_first(down, index);
  receive_group(index);
  multiply(down, index);
  send_rows(down, REDUCED, index);
  if (last.rounds > 0u) { load_first(last, index); }
  let post_mlp = norm_octet(POST_MLP + octet);
  let next_norm = Octet(
    bitcast<vec4f>(next[NEXT_NORM + octet]), bitcast<vec4f>(next[NEXT_NORM + octet + 1u]),
  );
  finish(last, workgroup, post_mlp, next_norm, index);
}
