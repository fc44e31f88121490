/** What was learnt as files: a model folder, a page with it inside, the pictures as class folders. */
import { offerOf } from "../app/opened";
import { pageWith } from "../app/own_page";
import type { SiteModel } from "../app/site";
import { reader } from "../app/words.svelte";
import { handOver, plainName } from "../draw/save";
import type { Table } from "../net/json";
import type { ModelFiles } from "../net/types";
import { clean } from "./given";
import { toldOf } from "./model";
import { pngOf } from "./png_file";
import type { Teach } from "./teach.svelte";
import { folderNames, picturePath, zipOf } from "./zip";

const NAMED = 3; // classes that give a model its name
const SHOWN = /\.(json|safetensors)$/; // the files of a model folder that the page reads

/** The model of what was learnt of all pictures, and its name; null where there is none. */
async function made(teach: Teach): Promise<{ name: string; files: ModelFiles; parameters: number } | null> {
  const lesson = await teach.settled();
  const { cut, model } = teach.trunk;
  if (!lesson || !cut || !model || teach.trouble !== null) return null;
  const names = lesson.groups.map((group) => clean(group.name));
  const pictures = lesson.groups.map((group) => group.kept.length);
  const told = toldOf(cut, lesson.taught, names, { pictures, language: reader.language });
  const { head, classes, width } = lesson.taught;
  const files = await teach.trunk.folder(head, told);
  const parameters = model.parameters + (classes - width) * (width + 1); // a head of `width` classes passes maps on
  return { name: plainName(...names.slice(0, NAMED)), files, parameters };
}

/** A zip that unpacks to a model folder. */
export async function saveModel(teach: Teach): Promise<void> {
  const found = await made(teach);
  if (!found) return;
  const entries = [...found.files].map(([file, data]) => [`${found.name}/${file}`, data] as const);
  handOver(new Blob([zipOf(entries) as Uint8Array<ArrayBuffer>], { type: "application/zip" }), `${found.name}.zip`);
}

/** SHA-256 of the weights, as config.json has it. */
function digestOf(files: ModelFiles): string {
  const config = JSON.parse(new TextDecoder().decode(files.get("config.json"))) as { nin: { files: Table } };
  return String(config.nin.files["model.safetensors"]);
}

/** This page with the model inside, as one file. version: of nin. */
export async function savePage(teach: Teach, version: string): Promise<void> {
  const found = await made(teach);
  if (!found) return;
  const files = new Map([...found.files].filter(([file]) => SHOWN.test(file)));
  const folder = "models/taught";
  const entry: SiteModel = {
    ...offerOf(found.name, files).entry,
    folder,
    sha256: digestOf(files),
    summary: { parameters: found.parameters, accuracy: null, interval: null },
  };
  const site = { format: 1, nin: version, language: null, models: [entry], goodbye: null };
  const held = new Map([["page.json", new TextEncoder().encode(JSON.stringify(site))]]);
  for (const [file, data] of files) held.set(`${folder}/${file}`, data as Uint8Array<ArrayBuffer>);
  handOver(new Blob([pageWith(held)], { type: "text/html" }), `${found.name}.html`);
}

/** The pictures of the classes as class folders, for `nin train` and `nin teach`. */
export async function savePictures(teach: Teach): Promise<void> {
  const entries: [string, Uint8Array][] = [];
  const groups = teach.groups.filter((group) => group.kept.length);
  const folders = folderNames(groups.map((group) => clean(group.name)));
  for (const [index, group] of groups.entries()) {
    for (const [at, { picture }] of group.kept.entries()) {
      entries.push([picturePath(folders[index], at + 1), await pngOf(picture)]);
    }
  }
  handOver(new Blob([zipOf(entries) as Uint8Array<ArrayBuffer>], { type: "application/zip" }), "pictures.zip");
}

/** The model opened in See. */
export async function inside(teach: Teach): Promise<void> {
  const found = await made(teach);
  if (found) await teach.lookInside(offerOf(found.name, found.files));
}
