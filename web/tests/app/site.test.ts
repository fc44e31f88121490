import { describe, expect, it } from "vitest";
import { asSite, type Site } from "../../src/app/site";
import { Refusal } from "../../src/net/types";

const SITE: Site = {
  format: 1,
  nin: "0.1.0",
  language: null,
  models: [
    {
      id: "nin-cifar10",
      folder: "models/nin-cifar10",
      files: ["config.json", "model.safetensors"],
      bytes: 1800000,
      sha256: "ab",
      labels: { ko: ["비행기"] },
      examples: [{ file: "examples/0.png", label: null, credit: "somebody" }],
      summary: { parameters: 894282, accuracy: 0.9451, interval: [0.94, 0.949] },
    },
  ],
  goodbye: "/goodbye/a1_b-2",
};

/** The site with one part replaced: "models.0.folder". */
function changed(path: string, value: unknown): unknown {
  const copy = structuredClone(SITE) as unknown as Record<string, unknown>;
  const names = path.split(".");
  const last = names.pop() ?? "";
  let at = copy;
  for (const name of names) at = at[name] as Record<string, unknown>;
  at[last] = value;
  return copy;
}

function refusal(value: unknown): Refusal | null {
  try {
    asSite(value);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(Refusal);
    return error as Refusal;
  }
}

describe("asSite", () => {
  it("reads a page and drops what it does not know", () => {
    expect(asSite({ ...SITE, lesson: { networks: [] } })).toEqual(SITE);
    const bare = changed("models.0.summary.accuracy", undefined);
    expect(asSite(bare).models[0]?.summary.accuracy).toBeNull();
  });

  it("names the part that is wrong", () => {
    const wrong: [string, unknown, string][] = [
      ["models.0.folder", "../up", "models[0].folder"],
      ["models.0.folder", "https://a/b", "models[0].folder"],
      ["models.0.folder", "/etc", "models[0].folder"],
      ["models.0.folder", "a//b", "models[0].folder"],
      ["models.0.files", ["a?b"], "models[0].files[0]"],
      ["models.0.files", ["config.json", "a%2e%2e"], "models[0].files[1]"],
      ["models.0.examples", [{ file: "x\u0000.png", label: null, credit: "" }], "models[0].examples[0].file"],
      ["models.0.examples", [{ file: "x.png", label: 3, credit: "" }], "models[0].examples[0].label"],
      ["models.0.bytes", -1, "models[0].bytes"],
      ["models.0.id", "", "models[0].id"],
      ["models.0.summary.interval", [0.9, 0.1], "models[0].summary.interval"],
      ["models.0.summary.interval", [0.1, 0.2, 0.3], "models[0].summary.interval"],
      ["models.0.summary.accuracy", 94, "models[0].summary.accuracy"],
      ["models", [SITE.models[0], SITE.models[0]], "models"],
      ["models", {}, "models"],
      ["language", "de", "language"],
      ["goodbye", "https://elsewhere.example/x", "goodbye"],
      ["goodbye", "//elsewhere.example/x", "goodbye"],
    ];
    for (const [path, value, part] of wrong) {
      const found = refusal(changed(path, value));
      expect(found?.code, path).toBe("page-broken");
      expect(found?.values, path).toEqual({ part });
    }
    for (const value of [null, [], "page", 1]) expect(refusal(value)?.code).toBe("page-broken");
    expect(refusal(changed("format", 2))?.code).toBe("page-newer");
  });
});
