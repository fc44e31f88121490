/** Probabilities of logits. */

/** softmax(logits / temperature) of one picture, in double precision, without overflow. */
export function softmax(logits: ArrayLike<number>, temperature: number): Float64Array {
  let most = -Infinity;
  for (let k = 0; k < logits.length; k++) most = Math.max(most, logits[k]);
  const powers = new Float64Array(logits.length);
  let sum = 0;
  for (let k = 0; k < logits.length; k++) {
    powers[k] = Math.exp((logits[k] - most) / temperature);
    sum += powers[k];
  }
  for (let k = 0; k < logits.length; k++) powers[k] /= sum;
  return powers;
}
