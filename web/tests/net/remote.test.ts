/** The line between page and worker, over a real MessageChannel: copies are copies, and only the newest run is run. */

import { afterEach, expect, test } from "vitest";

import type { Call, Line } from "../../src/net/messages";
import { RemoteEngine } from "../../src/net/remote";
import { serve } from "../../src/net/serve";
import { type Picture, Refusal } from "../../src/net/types";
import { NETWORK, smallModel } from "./small_model";

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

interface Connected {
  engine: RemoteEngine;
  /** Every call that reached the worker's side. */
  calls: Call[];
}

function connected(): Connected {
  const { port1, port2 } = new MessageChannel();
  const calls: Call[] = [];
  const far: Line = { postMessage: (message, transfer) => port2.postMessage(message, transfer ?? []), onmessage: null };
  serve(far);
  port2.onmessage = (event: MessageEvent<Call>) => {
    calls.push(event.data);
    far.onmessage?.(event);
  };
  const end = (): void => port1.close();
  ends.push(end);
  return { engine: new RemoteEngine(port1 as unknown as Line, end), calls };
}

function picture(side: number, value: number): Picture {
  const data = new Uint8ClampedArray(4 * side * side).map((_, n) => (n % 4 === 3 ? 255 : value));
  return { width: side, height: side, data };
}

test("answers come over the line, and the files and pictures of the page stay its own", async () => {
  const { engine } = connected();
  const files = smallModel();
  const model = await engine.open(files);
  expect(model.classes).toEqual(["no", "yes"]);
  expect(files.get("model.safetensors")!.length).toBeGreaterThan(0);
  const given = picture(9, 40);
  const answer = await engine.run({ picture: given });
  expect(given.data.length).toBe(4 * 81);
  expect(answer!.logits.length).toBe(2);
  expect((await engine.map(0, 1)).values.length).toBe(72);
  const { place, chosen, sums } = await engine.follow({ block: 1, y: 0, x: 0 }, { layer: 1, unit: 1 });
  expect([place.block, place.values.length, chosen]).toEqual([1, 2, { layer: 1, unit: 1 }]);
  expect(sums.map(({ layer, unit }) => [layer, unit])).toEqual([[1, 1]]);
  expect((await engine.filter(0, 0)).size).toEqual([3, 3, 1]);
  expect((await engine.paint([])).length).toBe(0);
});

test("of several runs that wait only the newest is run; the others resolve to null", async () => {
  const { engine, calls } = connected();
  await engine.open(smallModel());
  const answers = await Promise.all([10, 20, 30, 40].map((value) => engine.run({ picture: picture(9, value) })));
  expect(answers.map((answer) => answer?.seen[0] ?? null)).toEqual([10, null, null, 40]);
  expect(calls.filter(({ name }) => name === "run").length).toBe(2);
});

test("a run that waits while another model is opened is not run", async () => {
  const { engine } = connected();
  await engine.open(smallModel());
  const first = engine.run({ picture: picture(9, 10) });
  const second = engine.run({ picture: picture(9, 20) });
  const opened = engine.open(smallModel());
  expect((await first)!.seen[0]).toBe(10);
  expect(await second).toBeNull();
  await opened;
});

test("a picture travels once, and after a failure it travels again", async () => {
  const { engine, calls } = connected();
  await engine.open(smallModel());
  const large = picture(600, 50);
  const small = picture(9, 60);
  for (const each of [large, large, small, small, large]) {
    await engine.run({ picture: each });
  }
  await expect(engine.run({ picture: large, size: [1, 1] })).rejects.toThrow(/^size/);
  expect((await engine.run({ picture: large }))!.seen[0]).toBe(50);
  const sent = calls
    .filter(({ name }) => name === "run")
    .map(({ sent: [question] }) => (question as { picture: unknown }).picture);
  expect(sent.map((each) => each === "same")).toEqual([false, true, false, true, false, true, false]);
});

test("a refusal keeps its code and values; what nobody foresaw is an error", async () => {
  const { engine } = connected();
  const refused = await engine.open(new Map()).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(Refusal);
  expect((refused as Refusal).code).toBe("no-config");
  await expect(engine.run({ picture: picture(9, 1) })).rejects.toThrow("no-model");
  await expect(engine.open(null as never)).rejects.toThrow(/TypeError/);
});

test("check asks for one picture after the other and gives the largest difference", async () => {
  const { engine, calls } = connected();
  await engine.open(smallModel());
  const answer = await engine.run({ picture: { ...picture(9, 7), width: 9 } });
  const [no, yes] = answer!.probabilities;
  const one = {
    height: 9,
    width: 9,
    channels: 1 as const,
    pixels: btoa("\x07".repeat(81)),
    logits: [],
    distance: null,
  };
  const pictures = [0, 0.25, 0.125].map((off) => ({ ...one, probabilities: [no + off, yes] }));
  const check = await engine.check({ format: 1, pictures });
  expect(check.pictures).toBe(3);
  expect(check.difference).toBeCloseTo(0.25, 6);
  expect(calls.filter(({ name }) => name === "check").length).toBe(3);
  await expect(engine.check({ format: 2, pictures } as never)).rejects.toThrow("check");
});

test("classes are taught beside the model that is open, and the page keeps its features", async () => {
  const { engine } = connected();
  const features = Float32Array.from({ length: 24 }, (_, n) => (n < 12 ? n % 3 : 5 + (n % 5)));
  const labels = Int32Array.of(0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1);
  const taught = await engine.teach(features, labels, 2);
  expect([features.length, labels.length]).toEqual([24, 12]);
  expect([taught.classes, taught.width, taught.head.weight.length, taught.estimate?.right]).toEqual([2, 2, 4, 12]);
  await expect(engine.teach(features, labels, 3)).rejects.toThrow(/^RangeError/);
  await expect(engine.run({ picture: picture(9, 1) })).rejects.toThrow("no-model");
});

test("a trunk opens in the worker, answers with its maps, and becomes a folder there as often as one likes", async () => {
  const { engine } = connected();
  const told = {
    network: NETWORK,
    classes: ["a", "b"],
    preprocess: {},
    calibration: {},
    metrics: {},
    provenance: {},
    likeness: null,
    card: "",
  };
  const head = { weight: Float64Array.of(1, 2, 3, 4), bias: Float64Array.of(0, 1) };
  await expect(engine.taughtFolder(head, told)).rejects.toThrow("no-model");
  await expect(engine.openTrunk(smallModel(), "small", 7)).rejects.toThrow(/^absent/);
  const { trunk, model } = await engine.openTrunk(smallModel(), "small", 2);
  expect([trunk.width, trunk.cut, model.classes]).toEqual([2, 2, ["0", "1"]]);
  const seen = await engine.run({ picture: picture(9, 40) });
  for (let time = 0; time < 2; time++) {
    const files = await engine.taughtFolder(head, { ...told, network: trunk.network, preprocess: trunk.preprocess });
    await engine.open(files);
    const { logits } = (await engine.run({ picture: picture(9, 40) }))!;
    expect(logits[0]).toBeCloseTo(seen!.logits[0] + 2 * seen!.logits[1], 4);
    expect(logits[1]).toBeCloseTo(3 * seen!.logits[0] + 4 * seen!.logits[1] + 1, 4);
  }
});

test("once it is closed, everything that waits is refused, and so is what comes later", async () => {
  const { engine } = connected();
  const waits = engine.open(smallModel());
  const runs = [engine.run({ picture: picture(9, 1) }), engine.run({ picture: picture(9, 2) })];
  engine.close();
  for (const each of [waits, ...runs, engine.map(0, 0)]) {
    await expect(each).rejects.toThrow("closed");
  }
});
