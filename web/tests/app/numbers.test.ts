import { afterEach, describe, expect, it } from "vitest";
import { bytes, count, decimal, percent } from "../../src/app/numbers";
import { around, reader, t } from "../../src/app/words.svelte";

afterEach(() => {
  reader.language = "en";
});

describe("numbers", () => {
  it("have a minus sign, groups, and no sign of zero", () => {
    expect(count(894282)).toBe("894,282");
    expect(decimal(-0.7402, 2)).toBe("\u22120.74");
    expect(decimal(-0.001, 2)).toBe("0.00");
    expect(decimal(1234.5, 1)).toBe("1,234.5");
    expect(decimal(NaN, 2)).toBe("\u2013");
    expect(decimal(-Infinity, 2)).toBe("\u2212\u221e");
  });

  it("never round a share up to a certainty", () => {
    expect([1, 0.9996, 0.9987, 0.99, 0.49, 0.0995, 0.0871, 0.00049, 0].map(percent)).toEqual([
      "100%",
      "100%",
      "99.9%",
      "99%",
      "49%",
      "10%",
      "8.7%",
      "0.0%",
      "0.0%",
    ]);
  });

  it("say sizes", () => {
    expect(bytes(12)).toBe("1 kB");
    expect(bytes(1_800_000)).toBe("1.8 MB");
  });
});

describe("t", () => {
  it("speaks the reader's language and puts in values as they are", () => {
    expect(t("menu.count", { n: "{n} $& <b>" })).toBe("{n} $& <b> parameters");
    reader.language = "ko";
    expect(t("menu.count", { n: 5 })).toBe("파라미터 5개");
    expect(around("identity.mean", { n: 64 })).toEqual(["", " 맵 64개 값의 평균"]);
  });

  it("gives a key back that it has no words for", () => {
    expect(t("no.such")).toBe("no.such");
    expect(t("app.__proto__")).toBe("app.__proto__");
    expect(t("app")).toBe("app");
  });
});
