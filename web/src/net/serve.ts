/** Answers the calls of a page, one after the other; all arrays of a result change hands without a copy. */

import { teach } from "../teach/taught";
import { type Trunk, cutTrunk, folderWith, passing } from "../teach/trunk";
import { LocalEngine } from "./engine";
import { digestsOf } from "./folder";
import type { Call, Line, Name, Reply } from "./messages";
import { type Picture, Refusal } from "./types";

/** The memory of all arrays in a value. */
function buffers(value: unknown): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) {
    return [value.buffer as ArrayBuffer];
  }
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(buffers) : [];
}

export function serve(line: Line): void {
  let engine: LocalEngine | null = null;
  let picture: Picture | null = null;
  let trunk: Trunk | null = null;
  let before = Promise.resolve();
  const answered = async ({ name, sent }: Call): Promise<unknown> => {
    if (name === "teach") {
      return teach(...(sent as Call<"teach">["sent"]));
    }
    engine ??= new LocalEngine();
    if (name === "open") {
      const [files] = sent as Call<"open">["sent"];
      return engine.open(files, await digestsOf(files));
    }
    if (name === "openTrunk") {
      const [files, id, cut] = sent as Call<"openTrunk">["sent"];
      const found = cutTrunk(files, id, cut);
      const model = engine.open(passing(found));
      trunk = found;
      const { tensors: _, fitted: __, ...facts } = found;
      return { trunk: facts, model };
    }
    if (name === "taughtFolder") {
      if (trunk === null) {
        throw new Refusal("no-model");
      }
      return folderWith(trunk, ...(sent as Call<"taughtFolder">["sent"]));
    }
    if (name !== "run") {
      return (engine[name] as (...values: unknown[]) => unknown)(...sent);
    }
    const [question] = sent as Call<"run">["sent"];
    picture = question.picture === "same" ? picture : question.picture;
    if (picture === null) {
      throw new Refusal("no-picture");
    }
    return engine.run({ ...question, picture });
  };
  const reply = async (call: Call<Name>): Promise<void> => {
    const { id } = call;
    let reply: Reply;
    try {
      reply = { id, result: await answered(call) };
    } catch (error) {
      reply =
        error instanceof Refusal
          ? { id, refusal: { code: error.code, values: error.values } }
          : { id, error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
    }
    line.postMessage(reply, "result" in reply ? [...new Set(buffers(reply.result))] : []);
  };
  line.onmessage = ({ data }: MessageEvent<Call<Name>>) => {
    before = before.then(() => reply(data)).catch((error: unknown) => reportError(error)); // the page hears that the worker failed
  };
}
