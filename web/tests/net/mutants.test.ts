/** Every planted fault makes the comparison with Python fail. */

import { describe, expect, test } from "vitest";

import { differences } from "./compared";
import { type Fixture, fixtures } from "./fixtures";
import { MUTANTS, NONE } from "./mutants";

type Module = typeof import("../../src/net/engine");

const all = fixtures();

/** The first difference, or null; those fixtures that are answered at all before are not looked at again. */
function firstDifference(module: Module, some: readonly Fixture[]): string | null {
  const engine = new module.LocalEngine();
  for (const fixture of some) {
    let found: string[];
    try {
      found = differences(engine, fixture);
    } catch (error) {
      found = [`${fixture.name}: ${String(error)}`];
    }
    if (found.length > 0) {
      return found[0];
    }
  }
  return null;
}

describe.skipIf(all.length === 0)("a planted fault is noticed", () => {
  test.each(Object.keys(MUTANTS))("%s", async (name) => {
    const path = `../../src/net/engine.ts?mutant=${encodeURIComponent(name)}`;
    const module = (await import(/* @vite-ignore */ path)) as Module;
    const found = firstDifference(module, all);
    expect(found === null ? "nothing" : "noticed").toBe(name === NONE ? "nothing" : "noticed");
  });
});
