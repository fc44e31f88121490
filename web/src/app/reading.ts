/** Where the files of a page come from: the document itself, the folder beside it, or what the reader opened. */
import { Refusal, type ModelFiles } from "../net/types";
import { asSite, type Site, type SiteModel } from "./site";

export interface Source {
  /** The bytes of a file by its path in the page: "models/nin-cifar10/config.json". Throws Refusal. */
  read(path: string): Promise<Uint8Array<ArrayBuffer>>;
}

const PAGE = "page.json";

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** The file that a document holds as base64 in a script of its own, which no browser runs; null where it has none. */
function held(document: Document, path: string): Uint8Array<ArrayBuffer> | null {
  const scripts = [...document.querySelectorAll("script[data-path]")];
  const script = scripts.find((one) => one.getAttribute("data-path") === path);
  try {
    return script ? fromBase64(script.textContent.trim()) : null;
  } catch {
    throw new Refusal("file-damaged", { file: path });
  }
}

async function fetched(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const reply = await fetch(path.split("/").map(encodeURIComponent).join("/"));
    if (reply.ok) return new Uint8Array(await reply.arrayBuffer());
  } catch {
    // a file:// page, a server that is gone, or the policy of a one-file page: in each the file cannot be had
  }
  throw new Refusal(location.protocol === "file:" ? "folder-needs-server" : "file-missing", { file: path });
}

/** The page that is open: what the document holds, else what lies beside it. A page in one file asks for nothing. */
export function ownSource(): Source {
  const isWhole = () => document.querySelector(`script[data-path="${PAGE}"]`) !== null;
  const besides = (file: string) => (isWhole() ? Promise.reject(new Refusal("file-missing", { file })) : fetched(file));
  return { read: async (path) => held(document, path) ?? (await besides(path)) };
}

/** Another published page, read as text: nothing in it is run or asked for. */
export function pageSource(html: string): Source {
  const other = new DOMParser().parseFromString(html, "text/html");
  const read = async (path: string) => {
    const bytes = held(other, path);
    if (!bytes) throw new Refusal(path === PAGE ? "page-foreign" : "file-missing", { file: path });
    return bytes;
  };
  return { read };
}

function parsed(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Refusal("file-damaged", { file });
  }
}

/** page.json of a source, checked. Throws Refusal. */
export async function siteOf(source: Source): Promise<Site> {
  return asSite(parsed(await source.read(PAGE), PAGE));
}

/** The files of one model of a page. */
export async function filesOf(source: Source, entry: SiteModel): Promise<ModelFiles> {
  const read = entry.files.map(async (file) => [file, await source.read(`${entry.folder}/${file}`)] as const);
  return new Map(await Promise.all(read));
}

/** A JSON file of a model; null where the page has none. */
export async function jsonOf(source: Source, entry: SiteModel, file: string): Promise<unknown> {
  try {
    return parsed(await source.read(`${entry.folder}/${file}`), file);
  } catch (error) {
    if (error instanceof Refusal && error.code !== "file-damaged") return null;
    throw error;
  }
}
