/** The engine against Python, on every option that a network and its preprocessing have. */

import { describe, expect, test } from "vitest";

import { LocalEngine } from "../../src/net/engine";
import { Kernel, builds } from "../../src/net/kernel";
import { differences } from "./compared";
import { fixtures } from "./fixtures";

const all = fixtures();

describe.skipIf(all.length === 0)("the engine agrees with Python (fixtures of tests/explorer/fixtures.py)", () => {
  for (const [build, bytes] of builds()) {
    const engine = new LocalEngine(new Kernel(bytes));
    for (const fixture of all) {
      test(`${build} SIMD: ${fixture.name}`, () => {
        expect(differences(engine, fixture)).toEqual([]);
      });
    }
  }

  test("every build of the kernel runs here", () => {
    expect([...builds().keys()]).toEqual(["plain", "relaxed"]);
  });

  test("some answers are unknown for either reason, and some are not", () => {
    const rules = all.flatMap(({ pictures }) =>
      pictures.flatMap(({ answers }) => String(answers.get("unknown")?.bytes)),
    );
    expect(new Set(rules)).toEqual(new Set(["0,0", "1,0", "1,1", "undefined"]));
  });
});
