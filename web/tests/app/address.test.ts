import { describe, expect, it } from "vitest";
import { readAddress, writeAddress, type Address } from "../../src/app/address";

const NOTHING: Address = {
  place: "see",
  model: null,
  example: null,
  class: null,
  minus: null,
  layer: null,
  unit: null,
  at: null,
  cover: null,
  size: null,
  language: null,
};

describe("address", () => {
  it("reads every part", () => {
    const hash = "#see/nin-cifar10?e=3&class=horse&minus=dog&layer=3.1&unit=12&at=4,6&cover=20,9,8&size=64&lang=ko";
    expect(readAddress(hash)).toEqual({
      place: "see",
      model: "nin-cifar10",
      example: 3,
      class: "horse",
      minus: "dog",
      layer: { block: 2, depth: 1 },
      unit: 11,
      at: { block: 2, y: 3, x: 5 },
      cover: { y: 19, x: 8, side: 8 },
      size: 64,
      language: "ko",
    });
  });

  it("reads what it wrote, whatever names are like", () => {
    const names = ["horse", "T-shirt or top", "a/b?c&d=e#f%", "고양이", "<img src=x>", "\u202eevil", "100 %", "x+y"];
    for (const name of names) {
      const same = { model: name, class: name, minus: name };
      const address: Address = { ...NOTHING, ...same, language: "en", at: { block: 3, y: 0, x: 7 } };
      expect(readAddress(writeAddress(address)), name).toEqual(address);
    }
  });

  it("writes a place without its mlpconv layer only where the layer says it", () => {
    const at = { block: 2, y: 3, x: 5 };
    expect(writeAddress({ ...NOTHING, model: "m", layer: { block: 2, depth: 1 }, at })).toBe("#see/m?layer=3.1&at=4,6");
    const layer = { block: 0, depth: 1 };
    expect(writeAddress({ ...NOTHING, model: "m", layer, at })).toBe("#see/m?layer=1.1&at=3,4,6");
    expect(writeAddress({ ...NOTHING, model: "m", at })).toBe("#see/m?at=3,4,6");
  });

  it("reads and writes a chapter, whose model is a value among others", () => {
    const address: Address = { ...NOTHING, place: 3, model: "nin-cifar10", example: 2, language: "ko" };
    expect(writeAddress(address)).toBe("#learn/3?model=nin-cifar10&e=2&lang=ko");
    expect(readAddress(writeAddress(address))).toEqual(address);
    expect(writeAddress({ ...NOTHING, place: 8 })).toBe("#learn/8");
    expect(readAddress("#learn/5?lang=ko")).toEqual({ ...NOTHING, place: 5, language: "ko" });
    for (const hash of ["#learn", "#learn/", "#learn/x", "#learn/-2", "#learn/3.5"]) {
      expect(readAddress(hash), hash).toEqual({ ...NOTHING, place: 1 });
    }
  });

  it("reads and writes Teach, whose model is a value among others, too", () => {
    const address: Address = { ...NOTHING, place: "teach", model: "my/own", language: "ko" };
    expect(writeAddress(address)).toBe("#teach?model=my%2Fown&lang=ko");
    expect(readAddress(writeAddress(address))).toEqual(address);
    for (const hash of ["#teach", "#teach/", "#teach/x?e=-1&lang=xx"]) {
      expect(readAddress(hash), hash).toEqual({ ...NOTHING, place: "teach" });
    }
  });

  it("ignores what makes no sense", () => {
    const hostile = [
      "",
      "#",
      "#%",
      "#see/%E0%A4%A",
      "#teaching/x?e=-1&layer=1&at=1&cover=1,2&size=x&lang=xx",
      "#see?e=1e3&layer=0.0&at=a,b&cover=1,2,0&size=0&unit=4",
      "#see/?e=999999&at=1,2&cover=1,2,3,4&lang=constructor",
      "#see/?at=1,0,3&cover=0,1,8&unit=3",
      "#see/?at=0,1,3&cover=1,0,8",
      `#see/${"a".repeat(9000)}?e=2`,
      "#see/?class=&minus=&layer=__proto__&at=,&cover=,,",
    ];
    for (const hash of hostile) expect(readAddress(hash), hash.slice(0, 60)).toEqual(NOTHING);
  });
});
