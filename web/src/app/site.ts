/** page.json, format 1: what a published page holds. Written by nin.explorer.site, read and checked here. */

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
