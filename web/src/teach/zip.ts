/** Files as one zip: stored, not compressed, with names in UTF-8. Source: PKWARE's APPNOTE 6.3.10. */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20; // 2.0: folders
const UNIX = 3 << 8; // whose permissions are given
const MODE = 0o100644; // a plain file that its owner may write
const UTF8 = 0x0800;
const DAY = 0x0021; // 1 January 1980: equal content makes equal bytes
const MOST_FILES = 0xfffe;
const MOST_BYTES = 0xfffffffe;
const LONGEST = 120; // bytes of one name in a path; systems take 255 of all of it at least
const DEVICES = /^(con|prn|aux|nul|(com|lpt)[0-9\u00b9\u00b2\u00b3])$/i; // Windows' names for what is no file

const CRCS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) crc = CRCS[(crc ^ bytes[at]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** A name that every system takes for a file or a folder. */
export function safeName(name: string): string {
  const plain = name
    .normalize("NFC")
    .replace(/[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu, "")
    .replace(/[<>:"/\\|?*]/g, "_")
    .replace(/\p{Zs}+/gu, " ");
  let kept = "";
  let size = 0;
  for (const letter of plain.trim()) {
    size += new TextEncoder().encode(letter).length;
    if (size > LONGEST) break;
    kept += letter;
  }
  const ended = kept.replace(/^[. ]+/, (dots) => "_".repeat(dots.length)).replace(/[. ]+$/, "");
  const [stem] = ended.split(".");
  return DEVICES.test(stem.trim()) || ended === "" ? `_${ended}` : ended;
}

/** What two names have in common that some system, or nin, takes for one. */
const alike = (name: string): string => name.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");

/** Hands out names that differ, the first of each as it is. */
class Folder {
  private readonly taken = new Set<string>();
  private readonly given = new Map<string, { name: string; inner: Folder }>();

  /** The name that stands for this one here, and what lies in it. */
  at(name: string): { name: string; inner: Folder } {
    const before = this.given.get(name);
    if (before) return before;
    const safe = safeName(name);
    const dot = safe.lastIndexOf(".");
    const [stem, ending] = dot > 0 ? [safe.slice(0, dot), safe.slice(dot)] : [safe, ""];
    let free = safe;
    for (let number = 2; this.taken.has(alike(free)); number++) free = `${stem} ${number}${ending}`;
    this.taken.add(alike(free));
    const found = { name: free, inner: new Folder() };
    this.given.set(name, found);
    return found;
  }
}

/** Names as folders that every system takes, in this order: those that differ stay different. */
export function folderNames(names: readonly string[]): string[] {
  const folder = new Folder();
  return names.map((name) => folder.at(name).name);
}

/**
 * Where picture `number` of a class folder lies in a zip: below a folder for training pictures, so that a class may be
 * called "test" and is not taken for that part of the data.
 */
export function picturePath(folder: string, number: number): string {
  return `pictures/train/${folder}/${String(number).padStart(3, "0")}.png`;
}

interface Entry {
  name: Uint8Array;
  bytes: Uint8Array;
  crc: number;
  at: number;
}

/**
 * The zip of some files, the parts of whose paths are made safe: no way out of the folder, nothing that a system cannot
 * take, no two files in one place. RangeError for a path that is there twice, and for more than a plain zip holds.
 */
export function zipOf(files: Iterable<readonly [path: string, bytes: Uint8Array]>): Uint8Array {
  const root = new Folder();
  const places = new Map<string, "file" | "folder">();
  const entries: Entry[] = [];
  let at = 0;
  for (const [path, bytes] of files) {
    const parts: string[] = [];
    let folder = root;
    for (const part of path.split("/").filter((each) => each !== "")) {
      if (parts.length) claim(places, parts, "folder");
      const { name, inner } = folder.at(part);
      parts.push(name);
      folder = inner;
    }
    claim(places, parts, "file");
    const name = new TextEncoder().encode(parts.join("/"));
    entries.push({ name, bytes, crc: crc32(bytes), at });
    at += 30 + name.length + bytes.length;
  }
  const directory = entries.reduce((sum, { name }) => sum + 46 + name.length, 0);
  if (entries.length > MOST_FILES || at + directory > MOST_BYTES) {
    throw new RangeError(`a zip of ${entries.length} files and ${at + directory} bytes`);
  }
  return written(entries, at, directory);
}

/** Notes what lies at a place. RangeError where that is something else already, or nowhere. */
function claim(places: Map<string, "file" | "folder">, parts: readonly string[], kind: "file" | "folder"): void {
  const place = parts.join("/");
  const before = places.get(place);
  if (place === "" || before === "file" || (before !== undefined && before !== kind)) {
    throw new RangeError(`a zip with ${JSON.stringify(place)} twice`);
  }
  places.set(place, kind);
}

/** `start`: where the directory begins; `size`: its bytes. */
function written(entries: readonly Entry[], start: number, size: number): Uint8Array {
  const data = new Uint8Array(start + size + 22);
  const view = new DataView(data.buffer);
  let directory = start;
  for (const entry of entries) {
    const { name, bytes, at } = entry;
    view.setUint32(at, LOCAL, true);
    describe(view, at + 4, entry);
    data.set(name, at + 30);
    data.set(bytes, at + 30 + name.length);
    view.setUint32(directory, CENTRAL, true);
    view.setUint16(directory + 4, UNIX | VERSION, true);
    describe(view, directory + 6, entry);
    view.setUint32(directory + 38, MODE << 16, true);
    view.setUint32(directory + 42, at, true);
    data.set(name, directory + 46);
    directory += 46 + name.length;
  }
  view.setUint32(directory, END, true);
  view.setUint16(directory + 8, entries.length, true);
  view.setUint16(directory + 10, entries.length, true);
  view.setUint32(directory + 12, size, true);
  view.setUint32(directory + 16, start, true);
  return data;
}

/** What both places say of a file: version, flags, no compression, time, day, checksum, sizes, length of the name. */
function describe(view: DataView, at: number, { name, bytes, crc }: Entry): void {
  view.setUint16(at, VERSION, true);
  view.setUint16(at + 2, UTF8, true);
  view.setUint16(at + 8, DAY, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, bytes.length, true);
  view.setUint32(at + 18, bytes.length, true);
  view.setUint16(at + 22, name.length, true);
}
