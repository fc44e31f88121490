/** Every fault that is planted in src/teach makes the comparison with Python and scikit-learn fail. */

import { describe, expect, test } from "vitest";

import { type Teaching, expectLearnt, expectModel } from "./compared";
import { TAUGHT_MUTANTS } from "./mutants";
import { modelCases, regressionCases } from "./python_fixtures";

const regressions = regressionCases();
const models = modelCases().filter(({ name }) => name === "classic" || name === "normalised");

async function withFault(name: string): Promise<Teaching> {
  const parts = await Promise.all(
    ["taught", "trunk", "model", "likeness"].map((part) => {
      const path = `../../src/teach/${part}.ts?mutant=${encodeURIComponent(name)}`;
      return import(/* @vite-ignore */ path) as Promise<object>;
    }),
  );
  return Object.assign({}, ...parts) as Teaching;
}

describe.skipIf(models.length === 0)("a planted fault is noticed", () => {
  test.each(Object.keys(TAUGHT_MUTANTS))("%s", async (name) => {
    const teaching = await withFault(name);
    const compare = (): void => {
      models.forEach((told) => expectModel(teaching, told));
      regressions.forEach((told) => expectLearnt(teaching, told));
    };
    if (name === "no fault in teach") compare();
    else expect(compare).toThrow();
  });
});
