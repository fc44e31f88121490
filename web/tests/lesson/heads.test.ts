/** Chapter 6: weights counted one by one, and beside what nin counts of the networks it builds. */

import { expect, test } from "vitest";

import { CLASSES, fcShare, FEATURES, HEADS, SIDE, squareSide, weightsOf, withHead } from "../../src/lesson/heads";
import measured from "../../src/lesson/measured.json";

/** Counts every weight and bias of fully connected layers of these widths, one at a time. */
function counted(widths: readonly number[]): number {
  let count = 0;
  for (let layer = 1; layer < widths.length; layer++) {
    for (let unit = 0; unit < widths[layer]; unit++) count += widths[layer - 1] + 1;
  }
  return count;
}

test("the three heads, counted neuron by neuron", () => {
  for (const side of [1, 2, 7, 8, 13]) {
    for (const classes of [2, 10, 1000]) {
      const values = FEATURES * side * side;
      expect(weightsOf("flat", side, classes)).toBe(counted([values, classes]));
      expect(weightsOf("hidden", side, classes)).toBe(counted([values, 1000, classes]));
      expect(weightsOf("mean", side, classes)).toBe(counted([FEATURES, classes]));
    }
  }
});

test("at the author's size they are what nin claims 10 and nin summary say", () => {
  expect(HEADS.map((head) => weightsOf(head, SIDE, CLASSES))).toEqual([12_299_010, 122_890, 1_930]);
});

const author = measured.networks.find(({ name }) => name === "nin-author-cifar10")!;

test("the author's network with its own head is itself, and with another one only the head changes", () => {
  expect(withHead(author, "mean", SIDE, CLASSES)).toEqual(author);
  const flat = withHead(author, "flat", SIDE, CLASSES);
  expect(flat.parameters).toBe(966_986 - 1_930 + 122_890);
  expect(flat.fc).toBe(122_890);
  expect(fcShare(flat)).toBeCloseTo(0.113, 3);
});

test("areas are in the ratio of the parameters", () => {
  const most = Math.max(...measured.networks.map(({ parameters }) => parameters));
  for (const { parameters } of measured.networks) {
    expect(squareSide(parameters, most) ** 2).toBeCloseTo(parameters / most, 12);
  }
  expect(squareSide(most, most)).toBe(1);
});

test("about nine tenths of the classic networks are fully connected", () => {
  const share = (name: string) => fcShare(measured.networks.find((one) => one.name === name)!);
  expect(share("vgg16")).toBeCloseTo(0.8936, 3); // 4,096 x 25,088 and on, of 138 million: Simonyan and Zisserman 2014
  expect(share("lenet5")).toBeCloseTo((400 * 120 + 120 + 120 * 84 + 84 + 84 * 10 + 10) / 61_706, 9);
  expect(fcShare(author)).toBe(0);
});
