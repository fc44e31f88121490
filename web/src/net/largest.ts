/** Which values are largest by size, without sorting all of them. */

/** Numbers of the `n` values of largest magnitude, largest first; of equals the first. */
export function largest(values: ArrayLike<number>, n: number): number[] {
  const best: number[] = [];
  for (let index = 0; index < values.length; index++) {
    const size = Math.abs(values[index]);
    let at = best.length;
    while (at > 0 && size > Math.abs(values[best[at - 1]])) at--;
    if (at < n) {
      best.splice(at, 0, index);
      if (best.length > n) best.pop();
    }
  }
  return best;
}

/** Numbers of all values, largest magnitude first. */
export function bySize(values: ArrayLike<number>): Int32Array {
  const order = Int32Array.from({ length: values.length }, (_, index) => index);
  return order.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
}

/** Number of the largest value, sign and all; 0 for none. */
export function top(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if (values[index] > values[best]) best = index;
  }
  return best;
}
