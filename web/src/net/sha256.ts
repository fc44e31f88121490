/** SHA-256 (FIPS 180-4), for where the browser's own is missing: a page that comes by plain http. */

const primes = function* (): Generator<number> {
  for (let n = 2; ; n++) {
    let prime = true;
    for (let d = 2; d * d <= n && prime; d++) {
      prime = n % d !== 0;
    }
    if (prime) {
      yield n;
    }
  }
};

/** The first 32 bits of the fractions of roots of the first primes: section 4.2.2 and 5.3.3. */
function fractions(count: number, root: (n: number) => number): Int32Array {
  const found = new Int32Array(count);
  const numbers = primes();
  for (let n = 0; n < count; n++) {
    const value = root(numbers.next().value as number);
    found[n] = Math.floor((value - Math.floor(value)) * 2 ** 32);
  }
  return found;
}

const ROUNDS = fractions(64, Math.cbrt);
const START = fractions(8, Math.sqrt);

const turned = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

/** One block of 64 bytes: section 6.2.2. `words` is room for 64 numbers. */
function mix(state: Int32Array, words: Int32Array, view: DataView, at: number): void {
  for (let n = 0; n < 16; n++) {
    words[n] = view.getInt32(at + 4 * n);
  }
  for (let n = 16; n < 64; n++) {
    const early = words[n - 15];
    const late = words[n - 2];
    const low = turned(early, 7) ^ turned(early, 18) ^ (early >>> 3);
    const high = turned(late, 17) ^ turned(late, 19) ^ (late >>> 10);
    words[n] = (words[n - 16] + low + words[n - 7] + high) | 0;
  }
  let a = state[0];
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let f = state[5];
  let g = state[6];
  let h = state[7];
  for (let n = 0; n < 64; n++) {
    const chosen = (e & f) ^ (~e & g);
    const first = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + chosen + ROUNDS[n] + words[n]) | 0;
    const second = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/** The digest of these bytes, one part after the other, as 64 hexadecimal digits. */
export function sha256(...parts: readonly Uint8Array[]): string {
  const state = START.slice();
  const words = new Int32Array(64);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const block = new Uint8Array(64); // what does not fill a block yet
  const held = new DataView(block.buffer);
  let filled = 0;
  const take = (part: Uint8Array): void => {
    let at = Math.min(part.length, (64 - filled) % 64);
    block.set(part.subarray(0, at), filled);
    filled += at;
    if (filled === 64) {
      mix(state, words, held, 0);
      filled = 0;
    }
    const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
    for (; filled === 0 && at + 64 <= part.length; at += 64) {
      mix(state, words, view, at);
    }
    if (at < part.length) {
      block.set(part.subarray(at), filled);
      filled += part.length - at;
    }
  };
  parts.forEach(take);
  const end = new Uint8Array(((119 - (length % 64)) % 64) + 9);
  end[0] = 0x80;
  const view = new DataView(end.buffer);
  view.setUint32(end.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(end.length - 4, (length * 8) >>> 0);
  take(end);
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
