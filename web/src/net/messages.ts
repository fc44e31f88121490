/** What the page and the worker send each other: one call, one reply, by number. */

import type { Told } from "../teach/folder_of";
import type { Head, Taught } from "../teach/taught";
import type { OpenTrunk } from "../teach/trunk";
import type { LocalEngine } from "./engine";
import type { Shape } from "./fold";
import type * as types from "./types";

/** A question as it travels: a picture that has not changed stays where it is. */
export type SentQuestion = Omit<types.Question, "picture"> & { picture: types.Picture | "same" };

/** The calls of the engine, with what they are sent. */
export interface Calls {
  open: [types.ModelFiles];
  run: [SentQuestion];
  paint: [readonly types.Mosaic[]];
  map: [number, number];
  follow: [types.Spot, types.Unit | null];
  filter: [number, number];
  slid: [number, number];
  slidEverywhere: [];
  components: [number];
  check: [types.CheckFile["pictures"][number]];
  trial: [readonly Shape[], readonly [number, number]];
  teach: [Float32Array, Int32Array, number];
  openTrunk: [types.ModelFiles, string, number | undefined];
  taughtFolder: [Head, Told];
}

export type Name = keyof Calls;
/** What the worker answers without the engine that is open, or around it. */
interface Besides {
  teach: Taught;
  openTrunk: OpenTrunk;
  taughtFolder: types.ModelFiles;
}

export type Result<Call extends Name> = Call extends keyof Besides
  ? Besides[Call]
  : ReturnType<LocalEngine[Exclude<Call, keyof Besides>]>;

export interface Call<Which extends Name = Name> {
  id: number;
  name: Which;
  sent: Calls[Which];
}

export type Reply =
  | { id: number; result: unknown }
  | { id: number; refusal: { code: string; values: Readonly<Record<string, string | number>> } }
  | { id: number; error: string };

/** One end of a line between two threads: a Worker, a worker's own scope, or a MessagePort. */
export interface Line {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
}
