/** Symmetric positive definite matrices (F, F), row after row: their triangular root and its inverse. */

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
  const full = rows - (rows % 4);
  for (let row = 0; row < full; row += 4) {
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
