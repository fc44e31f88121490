/** Zips: bytes as APPNOTE has them, and names that every system takes and that stay different. */

import { crc32 as known } from "node:zlib";

import { expect, test } from "vitest";

import { crc32, folderNames, safeName, zipOf } from "../../src/teach/zip";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Names and contents as a reader finds them: from the end, by the directory. */
function read(zip: Uint8Array): [string, string][] {
  const view = new DataView(zip.buffer);
  const end = zip.length - 22;
  expect(view.getUint32(end, true)).toBe(0x06054b50);
  const found: [string, string][] = [];
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const size = view.getUint32(at + 20, true);
    const name = view.getUint16(at + 28, true);
    const start = view.getUint32(at + 42, true) + 30 + name;
    const data = zip.subarray(start, start + size);
    expect(view.getUint32(at + 16, true)).toBe(known(data));
    found.push([new TextDecoder().decode(zip.subarray(at + 46, at + 46 + name)), new TextDecoder().decode(data)]);
    at += 46 + name;
  }
  expect(at).toBe(end);
  return found;
}

test("checksums are zlib's", () => {
  for (const text of ["", "a", "123456789", "한국어".repeat(99)]) expect(crc32(bytes(text))).toBe(known(bytes(text)));
});

test("what goes in comes out, in its order, under its names", () => {
  const files: [string, string][] = [
    ["taught/config.json", "{}\n"],
    ["taught/empty", ""],
    ["taught/고양이/001.png", "x".repeat(70_000)],
  ];
  expect(read(zipOf(files.map(([path, text]) => [path, bytes(text)])))).toEqual(files);
  expect(read(zipOf([]))).toEqual([]);
});

test("no path leads out of the folder, and none is one that a system cannot take", () => {
  const unsafe = ["../../etc/passwd", "/root", "C:\\x", "a\u0000b/c\nd"];
  const paths = [...unsafe, "con/NUL.txt", "end. /. x", "\u202egnp", "\ud800/y"];
  expect(read(zipOf(paths.map((path) => [path, bytes("x")]))).map(([name]) => name)).toEqual([
    "__/__/etc/passwd",
    "root",
    "C__x",
    "ab/cd",
    "_con/_NUL.txt",
    "end/__x",
    "gnp",
    "_/y",
  ]);
});

test("names that differ stay different, whatever a system takes for one", () => {
  const names = ["Cat", "cat", "CAT", "a:b", "a?b", "a_b", "straße", "STRASSE", "Ａ", "a", "", ".", "cat 2"];
  names.push("é", "e\u0301");
  const folders = folderNames(names);
  expect(folders.slice(0, 6)).toEqual(["Cat", "cat 2", "CAT 3", "a_b", "a_b 2", "a_b 3"]);
  const alike = folders.map((name) => name.normalize("NFKC").toUpperCase().toLowerCase());
  expect(new Set(alike).size).toBe(names.length);
  expect(folderNames(["cat", "dog", "cat"])).toEqual(["cat", "dog", "cat"]);
});

test("a name is cut at whole letters, and one that is nothing becomes something", () => {
  const long = safeName("가".repeat(200));
  expect(long).toBe("가".repeat(40));
  expect(["", " ", "..", "\u200b", "COM1", "lpt9.x", "aux ", "console"].map(safeName)).toEqual(
    ["_", "_", "__", "_", "_COM1", "_lpt9.x", "_aux", "console"],
  );
  expect(safeName("👩‍👧 t-shirt №5")).toBe("👩‍👧 t-shirt №5");
});

test("two files in one place, and a file where a folder is, are refused", () => {
  const zip = (...paths: string[]): Uint8Array => zipOf(paths.map((path) => [path, bytes("x")]));
  expect(() => zip("a", "a")).toThrow(RangeError);
  expect(() => zip("a/b", "a")).toThrow(RangeError);
  expect(() => zip("a", "a/b")).toThrow(RangeError);
  expect(() => zip("//")).toThrow(RangeError);
  expect(read(zip("a/b", "a/c")).length).toBe(2);
});
