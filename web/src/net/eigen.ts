/**
 * Eigenvalues and eigenvectors of symmetric matrices: made tridiagonal by reflections, then QL with implicit shifts.
 *
 * Source: Householder 1958; Dubrulle, Martin and Wilkinson 1968. Rows lie together, and both steps work along rows.
 */

const MOST_TURNS = 60; // for one eigenvalue; about two are needed

/** Eigenvalues, largest first, and eigenvectors as rows. */
export function eigen(symmetric: readonly Float64Array[]): { values: Float64Array; vectors: Float64Array[] } {
  const { diagonal, beside, vectors } = tridiagonal(symmetric.map((row) => row.slice()));
  diagonalise(diagonal, beside, vectors);
  const order = vectors.map((_, index) => index).sort((one, other) => diagonal[other] - diagonal[one]);
  const values = Float64Array.from(order, (index) => diagonal[index]);
  return { values, vectors: order.map((index) => vectors[index]) };
}

interface Tridiagonal {
  diagonal: Float64Array;
  /** Entry n stands beside the diagonal's n and n + 1; the last is 0. */
  beside: Float64Array;
  /** The axes, as rows, in which the matrix is tridiagonal. */
  vectors: Float64Array[];
}

function tridiagonal(a: Float64Array[]): Tridiagonal {
  const n = a.length;
  const vectors = a.map((_, row) => Float64Array.from({ length: n }, (_, column) => Number(row === column)));
  const beside = new Float64Array(n);
  const mirrors: Float64Array[] = [];
  for (let k = 0; k + 1 < n; k++) {
    const mirror = a[k].slice();
    mirror.fill(0, 0, k + 1);
    let square = 0;
    for (let m = k + 1; m < n; m++) square += mirror[m] * mirror[m];
    const length = mirror[k + 1] > 0 ? -Math.sqrt(square) : Math.sqrt(square);
    beside[k] = length;
    const own = square - mirror[k + 1] * length; // half the squared length of the mirror's normal
    mirror[k + 1] -= length;
    if (own > 0) {
      const unit = 1 / Math.sqrt(own);
      for (let m = k + 1; m < n; m++) mirror[m] *= unit;
      reflect(a, mirror, k + 1);
    }
    mirrors.push(own > 0 ? mirror : new Float64Array(n));
  }
  for (let k = mirrors.length - 1; k >= 0; k--) turnRows(vectors, mirrors[k], k + 1);
  return { diagonal: Float64Array.from(a, (row, index) => row[index]), beside, vectors };
}

/** H a H for H = 1 - v v', on rows and columns from `first` on. */
function reflect(a: readonly Float64Array[], v: Float64Array, first: number): void {
  const n = a.length;
  const p = new Float64Array(n);
  let along = 0;
  for (let row = first; row < n; row++) {
    const own = a[row];
    let sum = 0;
    for (let m = first; m < n; m++) sum += own[m] * v[m];
    p[row] = sum;
    along += sum * v[row];
  }
  for (let m = first; m < n; m++) p[m] -= (along / 2) * v[m];
  for (let row = first; row < n; row++) {
    const own = a[row];
    const left = v[row];
    const right = p[row];
    for (let m = first; m < n; m++) own[m] -= left * p[m] + right * v[m];
  }
}

/** Every row from `first` on is mirrored: vectors times 1 - v v'. */
function turnRows(vectors: readonly Float64Array[], v: Float64Array, first: number): void {
  for (let row = first; row < vectors.length; row++) {
    const own = vectors[row];
    let sum = 0;
    for (let m = first; m < own.length; m++) sum += own[m] * v[m];
    for (let m = first; m < own.length; m++) own[m] -= sum * v[m];
  }
}

/** The diagonal becomes the eigenvalues, the rows of `vectors` their eigenvectors. */
function diagonalise(diagonal: Float64Array, beside: Float64Array, vectors: readonly Float64Array[]): void {
  const n = diagonal.length;
  for (let first = 0; first < n; first++) {
    for (let turns = 0; turns < MOST_TURNS; turns++) {
      let last = first;
      while (last + 1 < n) {
        const size = Math.abs(diagonal[last]) + Math.abs(diagonal[last + 1]);
        if (Math.abs(beside[last]) <= Number.EPSILON * size) break;
        last++;
      }
      if (last === first) break;
      sweep(diagonal, beside, vectors, first, last);
    }
  }
}

/** One QL step on the block from `first` to `last`, with Wilkinson's shift. */
function sweep(
  diagonal: Float64Array,
  beside: Float64Array,
  vectors: readonly Float64Array[],
  first: number,
  last: number,
): void {
  const half = (diagonal[first + 1] - diagonal[first]) / (2 * beside[first]);
  const root = Math.hypot(half, 1);
  let g = diagonal[last] - diagonal[first] + beside[first] / (half + (half < 0 ? -root : root));
  let sine = 1;
  let cosine = 1;
  let moved = 0;
  for (let n = last - 1; n >= first; n--) {
    const f = sine * beside[n];
    const b = cosine * beside[n];
    const length = Math.hypot(f, g);
    beside[n + 1] = length;
    if (length === 0) {
      diagonal[n + 1] -= moved;
      beside[last] = 0;
      return;
    }
    sine = f / length;
    cosine = g / length;
    g = diagonal[n + 1] - moved;
    const turned = (diagonal[n] - g) * sine + 2 * cosine * b;
    moved = sine * turned;
    diagonal[n + 1] = g + moved;
    g = cosine * turned - b;
    turn(vectors[n], vectors[n + 1], cosine, sine);
  }
  diagonal[first] -= moved;
  beside[first] = g;
  beside[last] = 0;
}

function turn(one: Float64Array, other: Float64Array, cosine: number, sine: number): void {
  for (let k = 0; k < one.length; k++) {
    const left = one[k];
    const right = other[k];
    one[k] = cosine * left - sine * right;
    other[k] = sine * left + cosine * right;
  }
}
