import { describe, expect, it } from "vitest";
import { clean, pilesOf, thinned, twice } from "../../src/teach/given";

/** What was sorted, as names and paths. */
function piles(...paths: string[]): [string | null, string[]][] {
  const found = paths.map((path) => ({ path, file: new File([], path.split("/").at(-1) ?? "") }));
  return pilesOf(found).map(({ name, found: some }) => [name, some.map(({ path }) => path)]);
}

describe("what is given", () => {
  it("is sorted into classes by the folder in which it lies, as people count", () => {
    expect(piles("things/shoes/10.jpg", "things/hat/b.jpg", "things/shoes/2.jpg", "things/hat/a.png")).toEqual([
      ["hat", ["things/hat/a.png", "things/hat/b.jpg"]],
      ["shoes", ["things/shoes/2.jpg", "things/shoes/10.jpg"]],
    ]);
    expect(piles("train/hat/1.jpg", "test/hat/2.jpg", "test/shoes/3.jpg")).toEqual([
      ["hat", ["test/hat/2.jpg", "train/hat/1.jpg"]],
      ["shoes", ["test/shoes/3.jpg"]],
    ]);
    expect(piles("2.jpg", "10.jpg", "1.jpg")).toEqual([[null, ["1.jpg", "2.jpg", "10.jpg"]]]);
  });

  it("loses what systems leave in folders", () => {
    const left = ["x/hat/.DS_Store", "__MACOSX/hat/._1.jpg", "x/hat/Thumbs.db", "x/.git/config", "x/hat/desktop.ini"];
    expect(piles(...left, "x/hat/1.jpg")).toEqual([["hat", ["x/hat/1.jpg"]]]);
  });

  it("joins spellings of a name that nobody can tell apart", () => {
    const decomposed = "\u1106\u1169\u110c\u1161"; // as a Mac writes it
    expect(piles(`x/${decomposed}/1.jpg`)[0]?.[0]).toBe("\ubaa8\uc790");
    expect(clean(" red\u00a0 \u200bhat\u202e\t")).toBe("red hat");
    expect(clean("\u{1F469}\u200d\u{1F52C}")).toBe("\u{1F469}\u200d\u{1F52C}"); // a joiner that means something
  });

  it("is thinned evenly, the first one kept", () => {
    const all = Array.from({ length: 1000 }, (_, at) => at);
    const some = thinned(all, 200);
    expect(some.length).toBe(200);
    expect(new Set(some.map((value, at) => value - 5 * at))).toEqual(new Set([0]));
    expect(thinned([1, 2], 200)).toEqual([1, 2]);
    expect(thinned(all, 0)).toEqual([]);
  });

  it("finds the name that two classes have", () => {
    expect(twice(["hat", "shoes", "Hat"])).toBe("Hat");
    expect(twice(["hat", "shoes", "", ""])).toBeNull();
  });
});
