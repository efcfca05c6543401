// A decoder layer from its attention's splits to what follows it, in one dispatch: join the splits, o, the norms
// around it, gate/up with SwiGLU, down, its norms, and in `finish` (preludes/layer-end-*.wgsl) the next layer's qkv.
// A dispatch of its own costs each of those 4 us on a large GPU, of which memory is idle for most.
//
// WORKGROUPS workgroups, all of which must run at the same time: each computes a block of each product's rows and waits
// for the others' in between. They meet in `mail`, where a value is its own flag: 0 is a word that has not come yet.
// So nothing depends on the order in which two writes are seen, only on each being seen at some time. Whoever waits
// too long says so in the word STATUS and goes on; the step is then worthless, but it ends.
// `mail` must be zero at the start; each dispatch clears the one of the dispatch before.
//
// An invocation keeps the activations of its own 32 values of K in registers and meets them with row after row; the
// first rows of each product are on their way before the wait for its activations.

struct Rows {
  // Of the weight's first group and of its first eight scales, in vectors.
  weight: u32,
  scale: u32,
  groups: u32,
  // Invocations that share a row.
  lanes: u32,
  // The workgroup's first row, and how many it has.
  first: u32,
  count: u32,
  // Where the second half of the rows starts: gate, then up.
  half: u32,
  jump: u32,
}

// The words of four neighbouring rows that an invocation multiplies. Fields instead of arrays: an array that is indexed
// in a loop which the driver does not unroll would leave the registers.
struct Quad {
  a: vec4u,
  b: vec4u,
  c: vec4u,
  d: vec4u,
  scales: vec4f,
}

// The digits of an invocation's group of activations.
struct Planes {
  even_high: vec4u,
  odd_high: vec4u,
  even_low: vec4u,
  odd_low: vec4u,
  total: vec2f,
}

struct Octet {
  a: vec4f,
  b: vec4f,
}

@group(0) @binding(0) var<storage, read> layer: array<vec4u>;
// The splits' outputs, then from STATS on their statistics, two a vector.
@group(0) @binding(1) var<storage, read> partials: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> hidden: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> mail: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> old_mail: array<u32>;
@group(0) @binding(6) var<storage, read> next: array<vec4u>;

override EPSILON: f32;

const NIBBLES = vec4u(0x0f0f0f0fu);
const NOT_A_NUMBER = 0x7fc00000u;
// Looks at the mail before a workgroup gives up: tens of milliseconds.
const PATIENCE = 20000u;

const C_GROUPS = C / 32u;
const HD_GROUPS = HD / 32u;
const F_GROUPS = F / 32u;
const C_OCTETS = C / 8u;
const HD_OCTETS = HD / 8u;

// What lies in `mail`.
const JOINED = 0u;
const PROJECTED = JOINED + HD;
const ACTIVATED = PROJECTED + C;
const REDUCED = ACTIVATED + F;
const STATUS = REDUCED + C;
// Only for counting: whether to, workgroups that came, and how many ran at the same time.
const COUNTING = STATUS + 1u;
const ARRIVED = STATUS + 2u;
const RESIDENTS = STATUS + 3u;

const TEAMS = WORKGROUP / 8u;
const STATS = H * SPLITS * (D / 4u);

var<workgroup> codes: array<vec4u, 4u * MOST_OCTETS / 4u>;
var<workgroup> totals: array<vec2f, MOST_OCTETS / 4u>;
// [quads of the block, subgroups that share a row]
var<workgroup> sums: array<vec4f, MOST_SUMS>;
var<workgroup> is_counting: u32;
var<workgroup> join_shares: array<f32, SPLITS>;
var<workgroup> join_sums: array<vec4f, WORKGROUP>;

var<private> x: Planes;
var<private> residual: Octet;
var<private> subgroup_width: u32;

fn send(place: u32, value: f32) {
  let bits = ~bitcast<u32>(value);
  atomicStore(&mail[place], select(bits, ~NOT_A_NUMBER, bits == 0u));
}

fn give_up(looks: u32) -> bool {
  return looks % 64u == 63u && atomicLoad(&mail[STATUS]) != 0u;
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

// Eight words that lie `stride` apart.
fn receive_octet(place: u32, stride: u32) -> Octet {
  var a: vec4u;
  var b: vec4u;
  for (var looks = 0u; ; looks++) {
    a = look(place, stride);
    b = look(place + 4u * stride, stride);
    if (all(min(a, b) != vec4u(0))) { break; }
    if (looks >= PATIENCE || give_up(looks)) {
      atomicStore(&mail[STATUS], 1u);
      break;
    }
  }
  return Octet(bitcast<vec4f>(~a), bitcast<vec4f>(~b));
}

fn load_quad(part: Rows, from_next: bool, round: u32, index: u32) -> Quad {
  let sets = WORKGROUP / part.lanes;
  let group = min(index % part.lanes, part.groups - 1u);
  // Past the end the last rows again: cheaper than a branch around the loads, and never stored.
  let row = min((round * sets + index / part.lanes) * 4u, part.count - 4u);
  let place = (part.first + row + select(0u, part.jump, row >= part.half)) * part.groups + group;
  let places = vec4u(place, place + part.groups, place + 2u * part.groups, place + 3u * part.groups);
  if (from_next) {
    return Quad(
      next[part.weight + places.x], next[part.weight + places.y], next[part.weight + places.z], next[part.weight + places.w],
      vec4f(
        half_of(next[part.scale + places.x / 8u][places.x / 2u % 4u], places.x),
        half_of(next[part.scale + places.y / 8u][places.y / 2u % 4u], places.y),
        half_of(next[part.scale + places.z / 8u][places.z / 2u % 4u], places.z),
        half_of(next[part.scale + places.w / 8u][places.w / 2u % 4u], places.w),
      ),
    );
  }
  return Quad(
    layer[part.weight + places.x], layer[part.weight + places.y], layer[part.weight + places.z], layer[part.weight + places.w],
    vec4f(
      half_of(layer[part.scale + places.x / 8u][places.x / 2u % 4u], places.x),
      half_of(layer[part.scale + places.y / 8u][places.y / 2u % 4u], places.y),
      half_of(layer[part.scale + places.z / 8u][places.z / 2u % 4u], places.z),
      half_of(layer[part.scale + places.w / 8u][places.w / 2u % 4u], places.w),
    ),
  );
}

fn half_of(pair: u32, place: u32) -> f32 {
  let scales = unpack2x16float(pair);
  return select(scales.x, scales.y, place % 2u == 1u);
}

fn dot_plane(weights: vec4u, digits: vec4u) -> i32 {
  return dot4I8Packed(weights.x, digits.x) + dot4I8Packed(weights.y, digits.y)
    + dot4I8Packed(weights.z, digits.z) + dot4I8Packed(weights.w, digits.w);
}

fn dot_group(words: vec4u, digits: Planes) -> f32 {
  let even = words & NIBBLES;
  let odd = (words >> vec4u(4u)) & NIBBLES;
  let high = dot_plane(even, digits.even_high) + dot_plane(odd, digits.odd_high);
  let low = dot_plane(even, digits.even_low) + dot_plane(odd, digits.odd_low);
  // Below 2^24, so exact.
  return digits.total.x * f32(high * 256 + low) - digits.total.y;
}

// All rows of a block with the activations in `x`; their sums over each subgroup go to `sums`.
fn multiply(part: Rows, from_next: bool, first: Quad, index: u32) {
  let sets = WORKGROUP / part.lanes;
  let parts = part.lanes / subgroup_width;
  let quads = part.count / 4u;
  let rounds = (quads + sets - 1u) / sets;
  var words = first;
  for (var round = 0u; round < rounds; round++) {
    let following = load_quad(part, from_next, round + 1u, index);
    let quad = round * sets + index / part.lanes;
    let sum = subgroupAdd(words.scales * vec4f(
      dot_group(words.a, x), dot_group(words.b, x), dot_group(words.c, x), dot_group(words.d, x),
    ));
    if (index % subgroup_width == 0u && quad < quads) {
      sums[quad * parts + (index % part.lanes) / subgroup_width] = sum;
    }
    words = following;
  }
  workgroupBarrier();
}

fn row_total(row: u32, lanes: u32) -> f32 {
  let parts = lanes / subgroup_width;
  var total = 0f;
  for (var i = 0u; i < parts; i++) {
    total += sums[row / 4u * parts + i][row % 4u];
  }
  return total;
}

// Rounds octets, one an invocation, and takes the digits of the invocation's own group.
fn share_digits(octets: u32, lanes: u32, a: vec4f, b: vec4f, index: u32) {
  let digits = round_octet(a, b, index);
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
  workgroupBarrier();
}

// A group of 32 values that no other invocation shares, rounded as preludes/round-int8.wgsl does.
fn receive_group(lane: u32) {
  let place = ACTIVATED + min(lane, F_GROUPS - 1u);
  // First the group's last word: looking at all of them while they are not here keeps the memory busy.
  for (var looks = 0u; looks < PATIENCE; looks++) {
    if (atomicLoad(&mail[place + 31u * F_GROUPS]) != 0u || give_up(looks)) { break; }
  }
  let a = receive_octet(place, F_GROUPS);
  let b = receive_octet(place + 8u * F_GROUPS, F_GROUPS);
  let c = receive_octet(place + 16u * F_GROUPS, F_GROUPS);
  let d = receive_octet(place + 24u * F_GROUPS, F_GROUPS);
  let largest = max(max(largest_bits(a.a, a.b), largest_bits(b.a, b.b)), max(largest_bits(c.a, c.b), largest_bits(d.a, d.b)));
  let scale = step_of(largest);
  let inverse = 1.0 / scale;
  let p = split_octet(a.a * inverse, a.b * inverse);
  let q = split_octet(b.a * inverse, b.b * inverse);
  let r = split_octet(c.a * inverse, c.b * inverse);
  let s = split_octet(d.a * inverse, d.b * inverse);
  x = Planes(
    vec4u(p.words.x, q.words.x, r.words.x, s.words.x),
    vec4u(p.words.y, q.words.y, r.words.y, s.words.y),
    vec4u(p.words.z, q.words.z, r.words.z, s.words.z),
    vec4u(p.words.w, q.words.w, r.words.w, s.words.w),
    select(vec2f(0), vec2f(scale, 7.0 * scale * f32(p.sum + q.sum + r.sum + s.sum)), lane < F_GROUPS),
  );
}

fn norm_octet(place: u32) -> Octet {
  return Octet(bitcast<vec4f>(layer[place]), bitcast<vec4f>(layer[place + 1u]));
}

fn rms_scale(squares: f32, index: u32) -> f32 {
  return inverseSqrt(reduce_sum(squares, index) / f32(C) + EPSILON);
}

// residual += rms(what came at `place`) * post, and the digits of rms(residual) * pre.
fn sandwich(place: u32, post: Octet, pre: Octet, index: u32) {
  let is_octet = index < C_OCTETS;
  let octet = min(index, C_OCTETS - 1u);
  let values = receive_octet(place + octet, C_OCTETS);
  let squares = dot(values.a, values.a) + dot(values.b, values.b);
  let post_scale = rms_scale(select(0f, squares, is_octet), index);
  let a = residual.a + values.a * post_scale * post.a;
  let b = residual.b + values.b * post_scale * post.b;
  residual = Octet(a, b);
  let pre_scale = rms_scale(select(0f, dot(a, a) + dot(b, b), is_octet), index);
  share_digits(C_OCTETS, LANES_C, a * pre_scale * pre.a, b * pre_scale * pre.b, index);
}

fn stats_of(head: u32, split: u32) -> vec2f {
  let place = head * SPLITS + split;
  let pair = partials[STATS + place / 2u];
  return select(pair.xy, pair.zw, place % 2u == 1u);
}

// Joins the splits of 32 outputs of a head.
fn join(block: u32, index: u32) {
  let head = block * 32u / D;
  let key_count = rows[0].cache_index + 1u;
  let keys_a_split = keys_per_split(key_count, SPLITS);
  let used = (key_count + keys_a_split - 1u) / keys_a_split;
  var best = -3e38;
  for (var split = index; split < used; split += WORKGROUP) {
    best = max(best, stats_of(head, split).x);
  }
  best = reduce_max(best, index);
  var total = 0f;
  for (var split = index; split < used; split += WORKGROUP) {
    let stats = stats_of(head, split);
    let share = exp(stats.x - best);
    join_shares[split] = share;
    total += stats.y * share;
  }
  // Its barriers stand between the writing and the reading of `join_shares`.
  total = reduce_sum(total, index);
  let quad = (block * 8u) % (D / 4u) + index % 8u;
  var sum = vec4f(0);
  for (var split = index / 8u; split < used; split += TEAMS) {
    sum += partials[(head * SPLITS + split) * (D / 4u) + quad] * join_shares[split];
  }
  join_sums[index] = sum;
  workgroupBarrier();
  if (index < 8u) {
    for (var team = 1u; team < min(TEAMS, used); team++) {
      sum += join_sums[team * 8u + index];
    }
    sum /= total;
    for (var i = 0u; i < 4u; i++) {
      let k = block * 32u + index * 4u + i;
      send(JOINED + (k % 8u) * HD_OCTETS + k / 8u, sum[i]);
    }
  }
  workgroupBarrier();
}

fn block_of(count: u32, block: u32, workgroup: u32) -> vec2u {
  let first = min(workgroup * block, count);
  return vec2u(first, min(block, count - first));
}

// A projection's rows go to where their octets are received.
fn send_rows(part: Rows, place: u32, index: u32) {
  for (var row = index; row < part.count; row += WORKGROUP) {
    let n = part.first + row;
    send(place + n % 8u * C_OCTETS + n / 8u, row_total(row, part.lanes));
  }
  // Software runs a workgroup's subgroups in turns that end at barriers: none may wait for words that are not sent.
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
  subgroup_width = subgroupAdd(1u);
  if (index == 0u) { is_counting = atomicLoad(&mail[COUNTING]); }
  if (workgroupUniformLoad(&is_counting) != 0u) {
    count_residents(index);
    return;
  }
  let c_block = block_of(C, C_BLOCK, workgroup);
  let f_block = block_of(F, F_BLOCK, workgroup);
  let o = Rows(O_WEIGHT, O_SCALE, HD_GROUPS, LANES_HD, c_block.x, c_block.y, c_block.y, 0u);
  let gate_up = Rows(
    GATE_UP_WEIGHT, GATE_UP_SCALE, C_GROUPS, LANES_C, f_block.x, f_block.y * 2u, f_block.y, F - f_block.y,
  );
  let down = Rows(DOWN_WEIGHT, DOWN_SCALE, F_GROUPS, WORKGROUP, c_block.x, c_block.y, c_block.y, 0u);

  let o_quad = load_quad(o, false, 0u, index);
  let octet = min(index, C_OCTETS - 1u) * 2u;
  residual = Octet(hidden[octet], hidden[octet + 1u]);
  let post_attention = norm_octet(POST_ATTENTION + octet);
  let pre_mlp = norm_octet(PRE_MLP + octet);
  for (var word = workgroup * WORKGROUP + index; word <= STATUS; word += WORKGROUPS * WORKGROUP) {
    old_mail[word] = 0u;
  }
  for (var block = workgroup; block < HD_GROUPS; block += WORKGROUPS) {
    join(block, index);
  }
  let joined = receive_octet(JOINED + min(index, HD_OCTETS - 1u), HD_OCTETS);
  share_digits(HD_OCTETS, LANES_HD, joined.a, joined.b, index);
  multiply(o, false, o_quad, index);
  send_rows(o, PROJECTED, index);

  let gate_up_quad = load_quad(gate_up, false, 0u, index);
  sandwich(PROJECTED, post_attention, pre_mlp, index);
  multiply(gate_up, false, gate_up_quad, index);
  for (var row = index; row < f_block.y; row += WORKGROUP) {
    let gate = row_total(row, LANES_C);
    let n = f_block.x + row;
    send(
      ACTIVATED + n % 32u * F_GROUPS + n / 32u,
      gate / (1.0 + exp(-gate)) * row_total(f_block.y + row, LANES_C),
    );
  }
  workgroupBarrier();

  let down_quad = load_quad(down, false, 0u, index);
  let post_mlp = norm_octet(POST_MLP + octet);
  let next_norm = Octet(
    bitcast<vec4f>(next[NEXT_NORM + octet]), bitcast<vec4f>(next[NEXT_NORM + octet + 1u]),
  );
  receive_group(index);
  multiply(down, false, down_quad, index);
  send_rows(down, REDUCED, index);
  finish(workgroup, post_mlp, next_norm, index);
}
