/**
 * Matrices in double precision, row after row: the loops in which teaching spends its time, and triangular roots.
 *
 * Loops that take four rows and two columns at a time read every number an eighth as often, and wait for no sum.
 */

/** Rows that are taken at a time, and columns of factors. */
export const ROWS = 4;
export const COLUMNS = 2;

export function roundedUp(count: number, unit: number): number {
  return Math.ceil(count / unit) * unit;
}

/**
 * out (K, N) = each row of weights (K, F) times each row of values (N, F), plus one of starts (K,). K a multiple of
 * COLUMNS, N of ROWS.
 */
export function timesRows(
  out: Float64Array,
  weights: Float64Array,
  values: Float64Array,
  starts: Float64Array,
  width: number,
): void {
  const rows = values.length / width;
  for (let n = 0; n < rows; n += ROWS) {
    const a = n * width;
    const b = a + width;
    const c = b + width;
    const d = c + width;
    for (let k = 0; k < starts.length; k += COLUMNS) {
      const p = k * width;
      const q = p + width;
      let one = starts[k];
      let two = one;
      let three = one;
      let four = one;
      let five = starts[k + 1];
      let six = five;
      let seven = five;
      let eight = five;
      for (let f = 0; f < width; f++) {
        const left = weights[p + f];
        const right = weights[q + f];
        const first = values[a + f];
        const second = values[b + f];
        const third = values[c + f];
        const fourth = values[d + f];
        one += left * first;
        two += left * second;
        three += left * third;
        four += left * fourth;
        five += right * first;
        six += right * second;
        seven += right * third;
        eight += right * fourth;
      }
      const to = k * rows + n;
      out[to] = one;
      out[to + 1] = two;
      out[to + 2] = three;
      out[to + 3] = four;
      out[to + rows] = five;
      out[to + rows + 1] = six;
      out[to + rows + 2] = seven;
      out[to + rows + 3] = eight;
    }
  }
}

/** Which columns of a matrix are no zeros: all, those up to the diagonal, or those from it on. */
export type Shape = "full" | "lower" | "upper";

/** out (K, F) = factors (K, N) times matrix (N, F); K a multiple of COLUMNS, N of ROWS. */
export function timesMatrix(
  out: Float64Array,
  factors: Float64Array,
  matrix: Float64Array,
  width: number,
  shape: Shape,
): void {
  const rows = matrix.length / width;
  const classes = factors.length / rows;
  out.fill(0, 0, classes * width);
  for (let n = 0; n < rows; n += ROWS) {
    const start = shape === "upper" ? n : 0;
    const end = shape === "lower" ? Math.min(n + ROWS, width) : width;
    const a = n * width;
    const b = a + width;
    const c = b + width;
    const d = c + width;
    for (let k = 0; k < classes; k += COLUMNS) {
      const from = k * rows + n;
      const other = from + rows;
      const p = k * width;
      const q = p + width;
      const one = factors[from];
      const two = factors[from + 1];
      const three = factors[from + 2];
      const four = factors[from + 3];
      const five = factors[other];
      const six = factors[other + 1];
      const seven = factors[other + 2];
      const eight = factors[other + 3];
      for (let f = start; f < end; f++) {
        const first = matrix[a + f];
        const second = matrix[b + f];
        const third = matrix[c + f];
        const fourth = matrix[d + f];
        out[p + f] += one * first + two * second + three * third + four * fourth;
        out[q + f] += five * first + six * second + seven * third + eight * fourth;
      }
    }
  }
}

/** (F, F) with rows and columns exchanged. */
export function transposed(matrix: Float64Array, size: number): Float64Array {
  return matrix.map((_, at) => matrix[(at % size) * size + Math.floor(at / size)]);
}


/** The lower triangular L with L times L transposed = matrix, in its place; the upper triangle becomes zeros. */
export function rootOf(matrix: Float64Array, size: number): void {
  for (let row = 0; row < size; row++) {
    const at = row * size;
    for (let column = 0; column <= row; column++) {
      const other = column * size;
      let sum = matrix[at + column];
      for (let n = 0; n < column; n++) sum -= matrix[at + n] * matrix[other + n];
      matrix[at + column] = column === row ? Math.sqrt(sum) : sum / matrix[other + column];
    }
    matrix.fill(0, at + row + 1, at + size);
  }
}

/** The inverse of a lower triangular matrix, which is lower triangular too. */
export function inverseOf(root: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const at = row * size;
    const own = 1 / root[at + row];
    for (let n = 0; n < row; n++) {
      const factor = -own * root[at + n];
      const from = n * size;
      for (let column = 0; column <= n; column++) inverse[at + column] += factor * inverse[from + column];
    }
    inverse[at + row] = own;
  }
  return inverse;
}

/** Sums of products of every two columns of values (N, F): the lower triangle of (F, F), rows four at a time. */
export function products(values: Float64Array, size: number): Float64Array {
  const sums = new Float64Array(size * size);
  const rows = values.length / size;
  const full = rows - (rows % ROWS);
  for (let row = 0; row < full; row += ROWS) {
    const a = row * size;
    const b = a + size;
    const c = b + size;
    const d = c + size;
    for (let f = 0; f < size; f++) {
      const at = f * size;
      const first = values[a + f];
      const second = values[b + f];
      const third = values[c + f];
      const fourth = values[d + f];
      if (first === 0 && second === 0 && third === 0 && fourth === 0) continue;
      for (let g = 0; g <= f; g++) {
        sums[at + g] += first * values[a + g] + second * values[b + g] + third * values[c + g] + fourth * values[d + g];
      }
    }
  }
  for (let row = full; row < rows; row++) {
    const from = row * size;
    for (let f = 0; f < size; f++) {
      const factor = values[from + f];
      const at = f * size;
      for (let g = 0; g <= f; g++) sums[at + g] += factor * values[from + g];
    }
  }
  return sums;
}
