/**
 * The arithmetic of a Network in Network, in AssemblyScript with SIMD: convolution, pooling, GELU and SiLU.
 *
 * Maps are channels-last: all channels of a place lie together, places row after row. From one place to the next are
 * `step` bytes, a multiple of 32, so that channels can be taken eight at a time; those beyond the last are zeros.
 * Nothing is allocated here: whoever calls lays out the memory (src/net/network.ts) and gives addresses.
 * Compiled twice, see web/bundling/kernel.ts: with relaxed SIMD a product and its sum are one rounding, not two.
 */

/** a * b + c. */
// @ts-ignore: decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

/** Zero for what is negative; what is no number stays none. */
// @ts-ignore: decorator
@inline
function rectified(a: v128, relu: bool): v128 {
  return relu ? f32x4.pmax(a, f32x4.splat(0)) : a;
}

/**
 * Eight channels at four places, which is what the registers hold.
 *
 * x0 to x3: where the windows of the places begin; o0 to o3: where the results go. A window is `rows` rows that lie
 * `rowBytes` apart, each of `runs` runs that lie `runBytes` apart, each of `length` numbers; to each number belong
 * eight weights.
 */
// @ts-ignore: decorator
@inline
function tile(
  x0: usize, x1: usize, x2: usize, x3: usize, o0: usize, o1: usize, o2: usize, o3: usize,
  weights: usize, bias: usize, rows: u32, rowBytes: u32, runs: u32, runBytes: u32, length: u32, relu: bool,
): void {
  let a0 = v128.load(bias);
  let b0 = v128.load(bias, 16);
  let a1 = a0;
  let b1 = b0;
  let a2 = a0;
  let b2 = b0;
  let a3 = a0;
  let b3 = b0;
  let w = weights;
  for (let row: u32 = 0; row < rows; row++) {
    for (let run: u32 = 0; run < runs; run++) {
      const begin = row * rowBytes + run * runBytes;
      let p0 = x0 + begin;
      let p1 = x1 + begin;
      let p2 = x2 + begin;
      let p3 = x3 + begin;
      const end = w + length * 32;
      while (w < end) {
        const a = v128.load(w);
        const b = v128.load(w, 16);
        let x = v128.load32_splat(p0);
        a0 = madd(x, a, a0);
        b0 = madd(x, b, b0);
        x = v128.load32_splat(p1);
        a1 = madd(x, a, a1);
        b1 = madd(x, b, b1);
        x = v128.load32_splat(p2);
        a2 = madd(x, a, a2);
        b2 = madd(x, b, b2);
        x = v128.load32_splat(p3);
        a3 = madd(x, a, a3);
        b3 = madd(x, b, b3);
        w += 32;
        p0 += 4;
        p1 += 4;
        p2 += 4;
        p3 += 4;
      }
    }
  }
  v128.store(o0, rectified(a0, relu));
  v128.store(o0, rectified(b0, relu), 16);
  v128.store(o1, rectified(a1, relu));
  v128.store(o1, rectified(b1, relu), 16);
  v128.store(o2, rectified(a2, relu));
  v128.store(o2, rectified(b2, relu), 16);
  v128.store(o3, rectified(a3, relu));
  v128.store(o3, rectified(b3, relu), 16);
}

/**
 * One group of a convolution.
 *
 * windows: for each place of the result where its window begins, in bytes from x; its length is a multiple of four,
 * the last window repeated. weights: for each block of eight channels eight weights for every number of a window;
 * bias: eight numbers a block.
 */
export function convolve(
  x: usize, out: usize, step: u32, windows: usize, places: u32, weights: usize, bias: usize, blocks: u32,
  rows: u32, rowBytes: u32, runs: u32, runBytes: u32, length: u32, relu: bool,
): void {
  const last = out + (places - 1) * step;
  const blockBytes = rows * runs * length * 32;
  for (let block: u32 = 0; block < blocks; block++) {
    const channels = block * 32;
    let window = windows;
    for (let o0 = out; o0 <= last; o0 += 4 * step) {
      const o1 = min(o0 + step, last);
      const o2 = min(o1 + step, last);
      const o3 = min(o2 + step, last);
      tile(
        x + load<u32>(window), x + load<u32>(window, 4), x + load<u32>(window, 8), x + load<u32>(window, 12),
        o0 + channels, o1 + channels, o2 + channels, o3 + channels,
        weights + block * blockBytes, bias + channels, rows, rowBytes, runs, runBytes, length, relu,
      );
      window += 16;
    }
  }
}

/**
 * Pooling of maps (height, width) to maps (rows, columns), as torch's: the largest value or the mean of each window.
 *
 * A mean counts the padding as zeros, but not what hangs over it.
 */
export function pool(
  x: usize, out: usize, step: u32, height: i32, width: i32, rows: i32, columns: i32,
  size: i32, stride: i32, padding: i32, mean: bool,
): void {
  for (let row = 0; row < rows; row++) {
    const top = row * stride - padding;
    const bottom = min(top + size, height + padding);
    for (let column = 0; column < columns; column++) {
      const left = column * stride - padding;
      const right = min(left + size, width + padding);
      const count = f32x4.splat(<f32>((bottom - top) * (right - left)));
      for (let channel: u32 = 0; channel < step; channel += 16) {
        let best = f32x4.splat(mean ? 0 : -Infinity);
        for (let y = max(top, 0); y < min(bottom, height); y++) {
          for (let z = max(left, 0); z < min(right, width); z++) {
            const value = v128.load(x + <u32>(y * width + z) * step + channel);
            best = mean ? f32x4.add(best, value) : f32x4.max(best, value);
          }
        }
        v128.store(out + channel, mean ? f32x4.div(best, count) : best);
      }
      out += step;
    }
  }
}

const LOG2_E: f64 = 1.4426950408889634;
const LN_2: f64 = 0.6931471805599453;

/** e to the power of x, x from -700 to 700: 2^n e^r with r at most ln 2 / 2, whose series ends below 1e-12. */
function exp(x: f64): f64 {
  const n = nearest(x * LOG2_E);
  const r = x - n * LN_2;
  let sum: f64 = 1;
  for (let term: f64 = 11; term > 0; term--) {
    sum = 1 + (r / term) * sum;
  }
  return sum * reinterpret<f64>((<i64>n + 1023) << 52);
}

/** 1 - erf(x) for x of at least 0, off by at most 1.2e-7 of itself: Press et al. 1992, section 6.2. */
function complement(x: f64): f64 {
  const t = 1 / (1 + 0.5 * x);
  let sum: f64 = 0.17087277;
  sum = sum * t - 0.82215223;
  sum = sum * t + 1.48851587;
  sum = sum * t - 1.13520398;
  sum = sum * t + 0.27886807;
  sum = sum * t - 0.18628806;
  sum = sum * t + 0.09678418;
  sum = sum * t + 0.37409196;
  sum = sum * t + 1.00002368;
  return t * exp(max<f64>(sum * t - x * x - 1.26551223, -700));
}

/** x times the share of a normal distribution that lies below it, in place. */
export function gelu(x: usize, count: u32): void {
  for (const end = x + count * 4; x < end; x += 4) {
    const value: f64 = load<f32>(x);
    const tail = 0.5 * complement(abs(value) * Math.SQRT1_2);
    store<f32>(x, <f32>(value * (value > 0 ? 1 - tail : tail)));
  }
}

/** x / (1 + exp(-x)), in place. */
export function silu(x: usize, count: u32): void {
  for (const end = x + count * 4; x < end; x += 4) {
    const value: f64 = load<f32>(x);
    store<f32>(x, <f32>(value / (1 + exp(min<f64>(max<f64>(-value, -700), 700)))));
  }
}
