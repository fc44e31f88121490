import { beforeEach, describe, expect, test } from "vitest";
import type { View } from "../../src/app/view.svelte";
import { reader } from "../../src/app/words.svelte";
import { figure } from "../../src/draw/figure";
import type { Rasters } from "../../src/draw/rasters";
import { fileName } from "../../src/draw/save";
import { cut, escaped } from "../../src/draw/sheet";
import { framed } from "../../src/draw/trail";
import { trailOf } from "../../src/net/trail";
import type { Answer, Painted, Unit } from "../../src/net/types";
import { smallModel, smallNetwork } from "./small";

const measure = (text: string, size: number) => [...text].length * size * 0.5;
const dot = { href: "data:image/png;base64,AAAA", width: 10, height: 10 };
const drawn = { picture: () => dot, classMap: () => dot, mosaic: () => dot, cells: () => dot, seen: () => dot };
const rasters = drawn as unknown as Rasters;

function painted(layer: number, maps: number): Painted {
  return {
    layer,
    width: 9,
    height: 9,
    tile: [4, 4],
    columns: 2,
    data: new Uint8ClampedArray(4 * 81),
    order: new Int32Array(maps),
    means: new Float32Array(maps).fill(0.5),
    peaks: new Float32Array(maps).fill(1),
  };
}

const known = {
  size: [4, 4],
  seen: new Uint8ClampedArray(64),
  logits: Float32Array.of(1.5, -0.74, 0),
  probabilities: Float32Array.of(0.7, 0.1, 0.2),
  classMaps: Float32Array.of(1, 2, 1, 2, -1, -0.5, -0.74, -0.72, 0, 0, 0, 0),
  mapSize: [2, 2],
  top: 0,
  sides: [[4, 4], [4, 4], [2, 2], [2, 2]],
  macs: [1000, 2000, 3000, 4000],
  painted: [painted(0, 4), painted(1, 5), painted(2, 4)],
} as unknown as Answer;

async function sheetOf(change: Partial<View> = {}, answer: Answer = known): Promise<string> {
  const model = smallModel();
  const title = (index: number) => model.classes[index];
  const view = { model, answer, theme: "light", shown: 0, minus: null, title, ...change };
  const trail = trailOf(smallNetwork(model), model.layers, { block: 1, y: 1, x: 0 }, null);
  return figure({ view: view as unknown as View, model, answer, trail, rasters, measure });
}

/** Texts of the sheet, in order, as a reader sees them. */
function texts(svg: string): string[] {
  const plain = (text: string) =>
    text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&amp;/g, "&");
  return [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map((match) => plain(match[1]));
}

beforeEach(() => {
  reader.language = "en";
});

describe("the saved sheet", () => {
  test("says what the page says", async () => {
    const said = texts(await sheetOf());
    const lines = ["mlpconv 1", "mlpconv 2", "3×3 filters", "5 maps · 4×4", "7K MACs", "3K MACs", "sees 9 px"];
    expect(said).toEqual(expect.arrayContaining(lines));
    expect(said).toContain("Mean of the 4 values of cat = 1.5000");
    expect(said).toContain("Its logit = 1.5000");
    expect(said).toContain("−0.74");
    expect(said).toContain("One place of mlpconv 2: row 2, column 1");
  });

  test("holds other people's names as text", async () => {
    const svg = await sheetOf();
    expect(svg).not.toContain("<script>");
    expect(texts(svg)).toContain("small <one>");
    expect(texts(svg)).toContain('<script>&"d…');
    const tags = svg.replace(/<[^>]*>/g, "");
    expect(tags).not.toMatch(/[<>]/);
  });

  test("cuts a long name, never the number behind it", async () => {
    const [line] = texts(await sheetOf({ shown: 2 })).filter((text) => text.startsWith("Mean of"));
    expect(line).toMatch(/^Mean of the 4 values of a .*\u2026 = 0\.0000$/);
  });

  test("says that the answer is unknown", async () => {
    const said = texts(await sheetOf({}, { ...known, unknown: "unsure" }));
    expect(said).toContain("unknown; nearest cat, 70%");
    expect(texts(await sheetOf()).join()).not.toContain("unknown");
  });

  test("subtracts the second class", async () => {
    expect(texts(await sheetOf({ minus: 2 }))).toContain("Map of cat minus map of a name that is ver…");
  });

  test("speaks Korean, and knows the dark", async () => {
    reader.language = "ko";
    const svg = await sheetOf({ theme: "dark" });
    expect(svg).toContain('xml:lang="ko"');
    expect(svg).toContain('fill="#14171b"/>');
    expect(texts(svg)).toContain("mlpconv 2의 한 위치: 2행 1열");
    expect(texts(svg)).toContain("5장 · 4×4");
  });

  test("nothing is drawn below the paper", async () => {
    const svg = await sheetOf();
    const height = Number(/viewBox="0 0 1440 (\d+)"/.exec(svg)?.[1]);
    const lowest = Math.max(...[...svg.matchAll(/ y="([\d.]+)"/g)].map((match) => Number(match[1])));
    expect(height).toBeGreaterThan(lowest);
  });
});

describe("a unit followed backwards", () => {
  const model = smallModel();
  const at = { block: 0, y: 0, x: 0 };
  const follow = (wanted: Unit | null) => trailOf(smallNetwork(model), model.layers, at, wanted);

  test("begins at the strongest unit of the last layer and goes to its largest input", () => {
    const trail = follow(null);
    const values = [...trail.place.values[1].values];
    expect(trail.chosen).toEqual({ layer: 1, unit: values.indexOf(Math.max(...values)) });
    expect(trail.sums.map(({ layer }) => layer)).toEqual([1, 0]);
    const sizes = [...trail.sums[0].products].map(Math.abs);
    expect(trail.sums[1].unit).toBe(sizes.indexOf(Math.max(...sizes)));
  });

  test("begins at the unit that is asked for, if the place has it", () => {
    expect(follow({ layer: 0, unit: 2 }).sums.map(({ unit }) => unit)).toEqual([2]);
    expect(follow({ layer: 3, unit: 2 }).chosen.layer).toBe(1);
    expect(follow({ layer: 1, unit: 99 }).chosen.unit).toBeLessThan(5);
  });

  test("frames where the patch holds what its largest products read", () => {
    const { place, sums } = follow({ layer: 0, unit: 1 });
    const frames = framed(sums[0], place.patchSize);
    const size = (index: number) => Math.abs(sums[0].products[index]);
    const sorted = [...sums[0].products.keys()].sort((a, b) => size(b) - size(a));
    expect(frames.map((index) => place.patch[index])).toEqual(sorted.slice(0, 5).map((index) => sums[0].values[index]));
  });
});

test("text is cut where it is wider than its room", () => {
  expect(cut("horse", 100, 10, false, measure)).toBe("horse");
  expect(cut("automobile", 30, 10, false, measure)).toBe("autom…");
  expect(cut("automobile", 1, 10, false, measure)).toBe("…");
});

test("what XML may not hold is written as a mark", () => {
  expect(escaped("a<b>&\"c\u0000\u0008\ud800")).toBe("a&lt;b&gt;&amp;&quot;c\ufffd\ufffd\ufffd");
  expect(escaped("한국어 🐎")).toBe("한국어 🐎");
});

test("files get names that any system takes", () => {
  expect(fileName("nin-cifar10", "horse", "svg")).toBe("nin-cifar10-horse.svg");
  expect(fileName("../../etc", "말", "png")).toBe("etc-말.png");
  expect(fileName("", "<>", "png")).toBe("nin.png");
  expect([...fileName("a".repeat(300), "b", "png")].length).toBeLessThan(90);
});
