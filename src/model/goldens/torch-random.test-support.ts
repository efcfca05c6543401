/**
 * `torch.randn` of a CPU generator, bit for bit, so that the random reference models need no weight files.
 * Valid for sizes that are multiples of 16, where torch takes its vector path: Box-Muller in f32 with the
 * Cephes polynomials of avx_mathfun, whose products and sums the compiler fuses as written here.
 */
export class TorchRandom {
  readonly #state = new Uint32Array(624);
  #index = 624;

  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const before = this.#state[i - 1]!;
      this.#state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
  }

  /** Normally distributed values, as `torch.randn(count, generator=...)` gives them. */
  normal(count: number): Float32Array<ArrayBuffer> {
    if (count % 16 !== 0) throw new RangeError(`${count} is no multiple of 16`);
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = (this.#next() & 0xffffff) * 2 ** -24;
    for (let start = 0; start < count; start += 16) {
      for (let i = start; i < start + 8; i++) {
        const radius = round(Math.sqrt(round(-2 * log(round(1 - values[i]!)))));
        const angle = round(round(2 * Math.PI) * values[i + 8]!);
        values[i] = radius * cosine(angle);
        values[i + 8] = radius * sine(angle);
      }
    }
    return values;
  }

  /** The next 32 bits of the Mersenne twister. */
  #next(): number {
    if (this.#index === 624) this.#twist();
    let y = this.#state[this.#index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < 624; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff);
      state[i] = state[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#index = 0;
  }
}

const round = Math.fround;

/** a * b + c, rounded once: a product of two f32 is exact in a double. */
function fma(a: number, b: number, c: number): number {
  return round(a * b + c);
}

function polynomial(x: number, coefficients: readonly number[]): number {
  return coefficients.reduce((y, coefficient) => fma(y, x, round(coefficient)));
}

const LOG = [
  7.0376836292e-2, -1.151461031e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(round);

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

function log(value: number): number {
  float[0] = value;
  let exponent = (bits[0]! >>> 23) - 126;
  bits[0] = (bits[0]! & 0x807fffff) | 0x3f000000;
  let x = float[0];
  const isSmall = x < round(Math.SQRT1_2);
  const kept = isSmall ? x : 0;
  if (isSmall) exponent -= 1;
  x = round(round(x - 1) + kept);
  const z = round(x * x);
  const y = round(polynomial(x, LOG) * x);
  const low = fma(y, z, round(exponent * round(-2.12194440e-4)));
  return fma(exponent, 0.693359375, round(x + fma(z, -0.5, low)));
}

const SINE = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(round);
const COSINE = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(round);

/** The octant pair of an angle and what remains of it, in -pi/4..pi/4. */
function reduce(angle: number): { octant: number; rest: number } {
  const octant = (Math.trunc(round(angle * round(1.27323954473516))) + 1) & ~1;
  let rest = fma(octant, -0.78515625, angle);
  rest = fma(octant, -2.4187564849853515625e-4, rest);
  rest = fma(octant, round(-3.774894977445941e-8), rest);
  return { octant, rest };
}

function sinePolynomial(x: number): number {
  const z = round(x * x);
  return fma(round(polynomial(z, SINE) * z), x, x);
}

function cosinePolynomial(x: number): number {
  const z = round(x * x);
  return round(fma(round(polynomial(z, COSINE) * z), z, -round(z * 0.5)) + 1);
}

function sine(angle: number): number {
  const { octant, rest } = reduce(angle);
  const value = octant & 2 ? cosinePolynomial(rest) : sinePolynomial(rest);
  return octant & 4 ? -value : value;
}

function cosine(angle: number): number {
  const { octant, rest } = reduce(angle);
  const value = octant & 2 ? sinePolynomial(rest) : cosinePolynomial(rest);
  return (octant - 2) & 4 ? value : -value;
}
