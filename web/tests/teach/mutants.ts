/** Planted faults of src/teach: what the comparison with Python must notice. See tests/net/mutants.ts. */

import type { Mutant } from "../net/mutants";

export const TAUGHT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "no fault in teach": { file: "regression.ts", from: "PENALTY = 0.1;", to: "PENALTY = 0.1;" },
  "a tenth more penalty": { file: "regression.ts", from: "PENALTY = 0.1;", to: "PENALTY = 0.11;" },
  "large classes weigh more": {
    file: "regression.ts",
    from: "1 / (classes * counts[label])",
    to: "1 / seen.length",
  },
  "features not centred": {
    file: "regression.ts",
    from: "(values[at + f] - mean[f]) / scale[f]",
    to: "values[at + f] / scale[f]",
  },
  "features not scaled": { file: "regression.ts", from: "Math.max(Math.sqrt(scale[f]), least)", to: "1" },
  "the search ends early": { file: "regression.ts", from: "PRECISION = 1e-7", to: "PRECISION = 1e-3" },
  "a penalty on rows of zeros": {
    file: "regression.ts",
    from: "logits.fill(0, k * rows + labels.length, (k + 1) * rows)",
    to: "logits.fill(0.1, k * rows + labels.length, (k + 1) * rows)",
  },
  "every fifth left out": {
    file: "taught.ts",
    from: "Math.floor((met[label]++ * FOLDS) / counts[label])",
    to: "met[label]++ % FOLDS",
  },
  "asked of what it had learnt": { file: "taught.ts", from: "fold[row] !== part", to: "true" },
  "two in a hundred lost": { file: "taught.ts", from: "LOST = 0.05", to: "LOST = 0.02" },
  "one in twenty further": { file: "taught.ts", from: "LOST_UNLIKE = 0.01", to: "LOST_UNLIKE = 0.05" },
  "no average picture": { file: "calibration.ts", from: "second / (2 * labels.length)", to: "0" },
  "the wrong end of the distances": {
    file: "calibration.ts",
    from: "[distances.length - rank]",
    to: "[rank]",
  },
  "covariance not shrunk": { file: "known.ts", from: "Math.min(Math.max(blur, 0) / away, 1)", to: "0" },
  "covariance not of the classes' freedom": { file: "known.ts", from: "factor = count / freedom", to: "factor = 1" },
  "directions the other way round": {
    file: "likeness.ts",
    from: "directions[row * width + column]",
    to: "directions[column * width + row]",
  },
  "pooled features": { file: "trunk.ts", from: "pool: null, dropout: 0 }", to: "dropout: 0 }" },
  "a normalisation after the head": { file: "trunk.ts", from: "last_norm: false", to: "last_norm: network.last_norm" },
  "an activation after the head": { file: "trunk.ts", from: "last_activation: false", to: "last_activation: true" },
};
