import { describe, expect, it } from "vitest";
import { neutral } from "../../src/app/names";

describe("neutral", () => {
  it("leaves names of any script as they are", () => {
    for (const name of ["cat", "고양이", "T-shirt or top", "naïve café", "کتاب\u200cها", "👩\u200d🚀", "x < y & z"]) {
      expect(neutral(name)).toBe(name);
    }
  });

  it("writes out what moves text, as Python's escape_name does", () => {
    // The right side is what nin.artifacts.escape_name gives.
    expect(neutral("a\u202eb")).toBe("a\\u202eb");
    expect(neutral("a\u2066b\u2069")).toBe("a\\u2066b\\u2069");
    expect(neutral("\x1b[31mred")).toBe("\\x1b[31mred");
    expect(neutral("a\nb\tc\rd")).toBe("a\\nb\\tc\\rd");
    expect(neutral("a\u2028b\u00a0c\ufeffd")).toBe("a\\u2028b\\xa0c\\ufeffd");
    expect(neutral("\u{e0001}")).toBe("\\U000e0001");
    expect(neutral("\ud800")).toBe("\\ud800");
  });

  it("shortens what is too long to be a name", () => {
    expect([...neutral("é".repeat(5000))]).toHaveLength(200);
    expect(neutral("é".repeat(5000)).endsWith("…")).toBe(true);
  });
});
