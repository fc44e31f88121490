/** What a reader opens or drops: pictures, a model folder, its loose files, or a published page. */
import { Refusal, type ModelFiles } from "../net/types";
import { pageSource, siteOf, type Source } from "./reading";
import type { SiteModel } from "./site";

/** A model that can be opened, and where its files are. */
export interface Offer {
  entry: SiteModel;
  source: Source;
  /** Opened by the reader: its address means nothing to others. */
  own: boolean;
}

export type Opened = { picture: File } | { offers: Offer[] };

const CONFIG = "config.json";
const PARTS = /\.(json|safetensors|txt|csv|md)$/i; // what config.json vouches for
const FOREIGN = /\.(onnx|pth?|pt2|h5|hdf5|keras|tflite|pb|caffemodel|prototxt|bin|npz|pkl|ckpt|gguf|safetensors)$/i;
const MOST_FILES = 5000;

/** A file with its path in what was dropped: "nin-cifar10/config.json". */
export interface Found {
  path: string;
  file: File;
}

/** Everything below what was dropped. */
async function below(entry: FileSystemEntry, found: Found[]): Promise<void> {
  if (found.length >= MOST_FILES) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const read = () => new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
  for (let some = await read(); some.length; some = await read()) {
    for (const one of some) await below(one, found);
  }
}

/** What newer browsers have besides entries. */
type Handled = DataTransferItem & { getAsFileSystemHandle?: () => Promise<FileSystemHandle | null> };

/** Everything below what was dropped, of a handle; `folder` ends in a slash. */
async function beneath(handle: FileSystemHandle, folder: string, found: Found[]): Promise<void> {
  if (found.length >= MOST_FILES) return;
  const path = `${folder}${handle.name}`;
  if (handle.kind === "file") found.push({ path, file: await (handle as FileSystemFileHandle).getFile() });
  else for await (const one of (handle as FileSystemDirectoryHandle).values()) await beneath(one, `${path}/`, found);
}

/** The files of a drop or a paste, folders walked through. To be called before anything is awaited. */
export async function filesIn(data: DataTransfer): Promise<Found[]> {
  const items: Handled[] = [...data.items];
  const entries = items.map((item) => item.webkitGetAsEntry());
  const loose = [...data.files].map((file) => ({ path: file.name, file }));
  if (!entries.some((entry) => entry?.isDirectory)) return loose;
  // In a page from a disk Chromium reads no folder by its entry, but reads it by its handle.
  const handles = items.map((item) => item.getAsFileSystemHandle?.().catch(() => null));
  const found: Found[] = [];
  for (const [at, entry] of entries.entries()) {
    const handle = await handles[at];
    if (handle) await beneath(handle, "", found);
    else if (entry) await below(entry, found);
  }
  return found;
}

/** The files that a file or folder dialog gave. */
export function filesOfDialog(files: Iterable<File>): Found[] {
  return [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** An entry for a model of which the page knows no more than its files. */
function entryOf(id: string, sizes: ReadonlyMap<string, number>): SiteModel {
  return {
    id,
    folder: "",
    files: [...sizes.keys()],
    bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    sha256: "",
    labels: { ko: null },
    examples: [],
    summary: { parameters: 0, accuracy: null, interval: null },
  };
}

/** A model that the page itself made, by the name that it is to have. */
export function offerOf(id: string, files: ModelFiles): Offer {
  const entry = entryOf(id, new Map([...files].map(([name, data]) => [name, data.length])));
  const read = (path: string) => {
    const data = files.get(path.replace(/^\//, ""));
    return data ? Promise.resolve(data.slice()) : Promise.reject(new Refusal("file-missing", { file: path }));
  };
  return { entry, source: { read }, own: true };
}

function modelIn(found: readonly Found[], config: Found): Offer {
  const folder = folderOf(config.path);
  const files = new Map<string, File>();
  for (const { path, file } of found) {
    const name = path.slice(folder.length);
    if (path.startsWith(folder) && !name.includes("/") && PARTS.test(name)) files.set(name, file);
  }
  const name = folder.split("/").at(-2) ?? "";
  const entry = entryOf(name || "model", new Map([...files].map(([part, file]) => [part, file.size])));
  const read = async (path: string) => {
    const file = files.get(path.replace(/^\//, ""));
    if (!file) throw new Refusal("file-missing", { file: path.replace(/^\//, "") });
    try {
      return new Uint8Array(await file.arrayBuffer());
    } catch {
      throw new Refusal("file-damaged", { file: file.name });
    }
  };
  return { entry, source: { read }, own: true };
}

async function pageIn(file: File): Promise<Offer[]> {
  const source = pageSource(await file.text());
  const site = await siteOf(source);
  if (!site.models.length) throw new Refusal("page-foreign");
  return site.models.map((entry) => ({ entry, source, own: true }));
}

/** What the reader opened. Throws Refusal for what is neither a picture nor a model of nin. */
export async function opened(found: readonly Found[]): Promise<Opened> {
  const configs = found.filter(({ path }) => path === CONFIG || path.endsWith(`/${CONFIG}`));
  configs.sort((a, b) => a.path.split("/").length - b.path.split("/").length);
  if (configs[0]) return { offers: configs.map((config) => modelIn(found, config)) };
  const [first, ...more] = found;
  if (!first) throw new Refusal("nothing-opened");
  if (/\.html?$/i.test(first.file.name)) return { offers: await pageIn(first.file) };
  if (first.path.includes("/")) throw new Refusal("folder-foreign", { folder: folderOf(first.path).slice(0, -1) });
  const foreign = [first, ...more].find(({ file }) => FOREIGN.test(file.name));
  if (foreign) throw new Refusal("model-foreign", { file: foreign.file.name });
  return { picture: first.file };
}
