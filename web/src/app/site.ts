/** page.json, format 1: what a published page holds. Written by nin.explorer.site, read and checked here. */
import { Refusal } from "../net/types";

export interface SiteModel {
  /** Unique name in the page: part of the address. */
  id: string;
  /** Folder of the model's files, relative: "models/nin-cifar10". */
  folder: string;
  /** The files of the folder that are there: config.json, model.safetensors, ... */
  files: string[];
  /** Bytes of all of them: said before a large one is read. */
  bytes: number;
  /** SHA-256 of model.safetensors. */
  sha256: string;
  labels: { ko: string[] | null };
  examples: { file: string; label: string | null; credit: string }[];
  summary: { parameters: number; accuracy: number | null; interval: [number, number] | null };
}

export interface Site {
  format: 1;
  nin: string;
  language: "en" | "ko" | null;
  models: SiteModel[];
  /** Address to say goodbye to: only where `nin explore` serves the page. */
  goodbye: string | null;
}

type Fields = Readonly<Record<string, unknown>>;
type Reader<T> = (value: unknown, where: string) => T;

const MOST = 10_000; // entries of a list that is read

function refuse(where: string): never {
  throw new Refusal("page-broken", { part: where });
}

const fields: Reader<Fields> = (value, where) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : refuse(where);

const text: Reader<string> = (value, where) => (typeof value === "string" ? value : refuse(where));

const number: Reader<number> = (value, where) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : refuse(where);

const share: Reader<number> = (value, where) => (number(value, where) <= 1 ? (value as number) : refuse(where));

function list<T>(value: unknown, where: string, item: Reader<T>): T[] {
  if (!Array.isArray(value) || value.length > MOST) return refuse(where);
  return value.map((one, at) => item(one, `${where}[${at}]`));
}

function orNull<T>(value: unknown, where: string, read: Reader<T>): T | null {
  return value === null || value === undefined ? null : read(value, where);
}

/** A path below the page: it never climbs out of its folder, names another server, or ends the address early. */
const path: Reader<string> = (value, where) => {
  const parts = text(value, where).split("/");
  const safe = parts.every((part) => /^[^\\:?#%\p{Cc}]+$/u.test(part) && part !== "." && part !== "..");
  return safe ? parts.join("/") : refuse(where);
};

const example: Reader<SiteModel["examples"][number]> = (value, where) => {
  const { file, label, credit } = fields(value, where);
  return {
    file: path(file, `${where}.file`),
    label: orNull(label, `${where}.label`, text),
    credit: text(credit, `${where}.credit`),
  };
};

const interval: Reader<[number, number]> = (value, where) => {
  const [low, high, ...more] = list(value, where, share);
  return low !== undefined && high !== undefined && low <= high && !more.length ? [low, high] : refuse(where);
};

const model: Reader<SiteModel> = (value, where) => {
  const found = fields(value, where);
  const summary = fields(found["summary"], `${where}.summary`);
  const labels = fields(found["labels"], `${where}.labels`);
  const names: Reader<string[]> = (names, at) => list(names, at, text);
  return {
    id: text(found["id"], `${where}.id`) || refuse(`${where}.id`),
    folder: path(found["folder"], `${where}.folder`),
    files: list(found["files"], `${where}.files`, path),
    bytes: number(found["bytes"], `${where}.bytes`),
    sha256: text(found["sha256"], `${where}.sha256`),
    labels: { ko: orNull(labels["ko"], `${where}.labels.ko`, names) },
    examples: list(found["examples"], `${where}.examples`, example),
    summary: {
      parameters: number(summary["parameters"], `${where}.summary.parameters`),
      accuracy: orNull(summary["accuracy"], `${where}.summary.accuracy`, share),
      interval: orNull(summary["interval"], `${where}.summary.interval`, interval),
    },
  };
};

/** The goodbye address belongs to the server of the page itself. */
const local: Reader<string> = (value, where) => {
  const address = text(value, where);
  return /^\/[\w\-/]*$/.test(address) && !address.startsWith("//") ? address : refuse(where);
};

/** What page.json says, checked; throws Refusal that names the part that is wrong. */
export function asSite(value: unknown): Site {
  const found = fields(value, "page.json");
  if (found["format"] !== 1) throw new Refusal("page-newer", { format: String(found["format"]).slice(0, 20) });
  const language = orNull(found["language"], "language", text);
  const models = list(found["models"], "models", model);
  const ids = new Set(models.map((one) => one.id));
  if (ids.size !== models.length) refuse("models");
  return {
    format: 1,
    nin: text(found["nin"], "nin"),
    language: language === null || language === "en" || language === "ko" ? language : refuse("language"),
    models,
    goodbye: orNull(found["goodbye"], "goodbye", local),
  };
}
