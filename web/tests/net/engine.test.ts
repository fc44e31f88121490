/** What the engine shows of itself must hold together: sums, means, places, drawings; and what it refuses. */

import { beforeEach, expect, test } from "vitest";

import { LocalEngine } from "../../src/net/engine";
import { type Mosaic, type Picture, Refusal } from "../../src/net/types";
import { NETWORK, WEIGHTS, smallModel } from "./small_model";

const engine = new LocalEngine();
const picture: Picture = {
  width: 8,
  height: 9,
  data: new Uint8ClampedArray(4 * 72).map((_, n) => (n % 4 === 3 ? 255 : (n * n * 31) % 256)),
};
const grey = Uint8ClampedArray.from({ length: 256 }, (_, n) => n);
const ramp = new Uint8ClampedArray(1024).map((_, n) => grey[Math.floor(n / 4)]);
const mosaic: Mosaic = { layer: 0, columns: 2, ramp, order: "number", scale: "map" };

function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Refusal) {
      return error.message;
    }
    throw error;
  }
  return "nothing";
}

beforeEach(() => {
  engine.open(smallModel());
});

test("a logit is the mean of its class map, and probabilities are those of the logits", () => {
  const answer = engine.run({ picture });
  const places = answer.mapSize[0] * answer.mapSize[1];
  answer.logits.forEach((logit, k) => {
    const sum = answer.classMaps.slice(k * places, (k + 1) * places).reduce((total, value) => total + value, 0);
    expect(logit).toBeCloseTo(sum / places, 4);
  });
  const [no, yes] = answer.logits;
  expect(answer.probabilities[1]).toBeCloseTo(1 / (1 + Math.exp((no - yes) / 10)), 6);
  expect(answer.top).toBe(no >= yes ? 0 : 1);
  expect(answer.sides).toEqual([
    [9, 8],
    [5, 4],
    [5, 4],
  ]);
  expect(answer.macs).toEqual([27 * 72, 54 * 20, 4 * 20]);
  expect(answer.unknown).toBe(null);
});

test("products, with the bias and the activation, make the value of the map; every place, every unit", () => {
  const { sides } = engine.run({ picture });
  sides.forEach(([height, width], layer) => {
    for (let unit = 0; unit < (layer ? 2 : 3); unit++) {
      const { values } = engine.map(layer, unit);
      const filter = engine.filter(layer, unit);
      for (let place = 0; place < height * width; place++) {
        const found = engine.products(layer, unit, Math.floor(place / width), place % width);
        const sum = found.products.reduce((total, value) => total + value, found.bias);
        expect(found.before).toBeCloseTo(sum, 3);
        expect(found.after).toBe(values[place]);
        expect(found.after).toBeCloseTo(layer === 2 ? found.before : Math.max(found.before, 0), 3);
        expect(found.weights).toEqual(filter.values);
      }
    }
  });
});

test("a place of the first layer reads the pixels around it, normalised, and zeros beyond the edge", () => {
  engine.run({ picture });
  const { field, patch, patchSize, values } = engine.place(0, 0, 7);
  expect(field).toEqual({ top: -1, left: 6, bottom: 2, right: 9 });
  expect(patchSize).toEqual([3, 3, 1]);
  const pixel = (y: number, x: number): number => {
    const [red, green, blue] = picture.data.slice(4 * (8 * y + x), 4 * (8 * y + x) + 3);
    return (Math.round(0.299 * red + 0.587 * green + 0.114 * blue) / 255 - 0.5) / 0.25;
  };
  const expected = [0, 0, 0, pixel(0, 6), pixel(0, 7), 0, pixel(1, 6), pixel(1, 7), 0];
  patch.forEach((value, n) => expect(Math.abs(value - expected[n])).toBeLessThan(0.02)); // luma is rounded
  expect(values.map(({ layer }) => layer)).toEqual([0]);
  expect([...values[0].values]).toEqual([0, 1, 2].map((unit) => engine.map(0, unit).values[7]));
  expect(engine.place(1, 2, 3).values.map(({ layer }) => layer)).toEqual([1, 2]);
  expect(engine.place(1, 2, 3).field).toEqual({ top: 1, left: 3, bottom: 9, right: 11 });
});

test("a cover is a square of the mean colour, cut off at the edge, and goes away again", () => {
  const free = engine.run({ picture });
  const { seen, logits } = engine.run({ picture, cover: { y: 7, x: -1, side: 3 } });
  for (let y = 0; y < 9; y++) {
    for (let x = 0; x < 8; x++) {
      const at = 4 * (8 * y + x);
      expect(seen[at]).toBe(y >= 7 && x < 2 ? 128 : free.seen[at]); // 0.5 * 255 = 127.5
    }
  }
  expect(logits).not.toEqual(free.logits);
  expect(engine.run({ picture }).logits).toEqual(free.logits);
});

test("a mosaic shows every map once, its strongest value darkest, in the order asked for", () => {
  const { painted } = engine.run({ picture, mosaics: [mosaic] });
  const [drawn] = painted;
  expect([drawn.width, drawn.height, drawn.columns]).toEqual([17, 19, 2]);
  expect(drawn.data.length).toBe(4 * 17 * 19);
  expect([...drawn.order]).toEqual([0, 1, 2]);
  for (let unit = 0; unit < 3; unit++) {
    const { values } = engine.map(0, unit);
    const peak = Math.max(...values);
    expect(drawn.peaks[unit]).toBe(peak);
    expect(drawn.means[unit]).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / 72, 4);
    values.forEach((value, place) => {
      const y = Math.floor(unit / 2) * 10 + Math.floor(place / 8);
      const x = (unit % 2) * 9 + (place % 8);
      expect(drawn.data[4 * (17 * y + x)]).toBe(peak > 0 ? Math.round((value / peak) * 255) : 0);
    });
  }
  for (let y = 0; y < 19; y++) {
    expect(drawn.data[4 * (17 * y + 8)]).toBe(0); // paper between the tiles
  }
  const [strong] = engine.paint([{ ...mosaic, order: "strength", scale: "layer" }]);
  const means = [...strong.order].map((unit) => strong.means[unit]);
  expect(means).toEqual([...means].sort((one, other) => other - one));
  expect(strong.data.filter((value, n) => n % 4 === 0 && value === 255).length).toBeGreaterThan(0);
});

test("a check compares with Python's numbers and leaves the maps of the last run", () => {
  const answer = engine.run({ picture });
  const map = engine.map(0, 1).values;
  const other = { height: 9, width: 8, channels: 1 as const, pixels: btoa("abcdefghi".repeat(8)), distance: null };
  const letters = [..."abcdefghi".repeat(8)].map((letter) => letter.charCodeAt(0));
  const pixels = Uint8ClampedArray.from(letters.flatMap((value) => [value, value, value, 255]));
  const expected = engine.run({ picture: { width: 8, height: 9, data: pixels } });
  engine.run({ picture });
  const probabilities = [...expected.probabilities];
  expect(engine.check({ ...other, logits: [], probabilities })).toBe(0);
  expect(engine.map(0, 1).values).toEqual(map);
  probabilities[1] += 0.125;
  expect(engine.check({ ...other, logits: [], probabilities })).toBeCloseTo(0.125, 6);
  expect(engine.place(0, 0, 0).values[0].values[1]).toBe(map[0]);
  expect(engine.run({ picture }).logits).toEqual(answer.logits);
  expect(refusal(() => engine.check({ ...other, logits: [], probabilities: [1] }))).toBe("check {}");
  expect(refusal(() => engine.check({ ...other, pixels: "AA==", logits: [], probabilities }))).toBe("check {}");
});

test("calls that make no sense are refused by name", () => {
  const fresh = new LocalEngine();
  expect(refusal(() => fresh.run({ picture }))).toBe("no-model {}");
  expect(refusal(() => engine.map(0, 0))).toBe("no-picture {}");
  engine.run({ picture });
  expect(refusal(() => engine.map(3, 0))).toBe('absent {"what":"layer","found":"3","count":3}');
  expect(refusal(() => engine.map(0, 3))).toBe('absent {"what":"unit","found":"3","count":3}');
  expect(refusal(() => engine.place(2, 0, 0))).toMatch(/^absent .*"block"/);
  expect(refusal(() => engine.place(1, 5, 0))).toBe('absent {"what":"y","found":"5","count":5}');
  expect(refusal(() => engine.products(0, 0, 0, -1))).toBe('absent {"what":"x","found":"-1","count":8}');
  expect(refusal(() => engine.run({ picture, size: [7, 8] }))).toBe('size {"found":"7","least":8,"most":4096}');
  expect(refusal(() => engine.run({ picture, size: [8, 5000] }))).toBe('size {"found":"5000","least":8,"most":4096}');
  expect(refusal(() => engine.run({ picture: { ...picture, width: 9 } }))).toBe("no-picture {}");
});

test("what needs too much memory is refused before it is asked for, and the engine goes on", () => {
  const wide = {
    blocks: [
      { channels: [3], kernel_size: 3 },
      { channels: [2, 2], kernel_size: 3 },
    ],
  };
  engine.open(smallModel({ network: { ...NETWORK, ...wide } }));
  const before = engine.run({ picture }).logits;
  expect(refusal(() => engine.run({ picture, size: [4096, 4096] }))).toMatch(/^too-large .*"most":1200/);
  expect(engine.run({ picture }).logits).toEqual(before);
  engine.run({ picture, size: [64, 96] });
  expect(engine.run({ picture }).logits).toEqual(before);
});

test("weights that make numbers without end are refused instead of answered", () => {
  engine.open(smallModel({ calibration: { temperature: 1e-6 } }));
  expect(refusal(() => engine.run({ picture }))).toBe("nothing"); // probabilities of 0 and 1 are numbers
  const endless = { shape: [3], values: [3e38, 3e38, 3e38] };
  const weights = { ...WEIGHTS, "blocks.0.spatial.bias": endless };
  engine.open(smallModel({ weights }));
  expect(refusal(() => engine.run({ picture }))).toBe('not-finite {"name":"logits"}');
});
