/** The engine as the page has it, in another thread: of several runs that wait only the newest is run. */

import type { Told } from "../teach/folder_of";
import type { Head, Taught } from "../teach/taught";
import type { OpenTrunk } from "../teach/trunk";
import type { Shape } from "./fold";
import type { Call, Calls, Line, Name, Reply, Result } from "./messages";
import {
  type Answer,
  type Check,
  type CheckFile,
  type Components,
  type Engine,
  type Model,
  type ModelFiles,
  type Mosaic,
  type Painted,
  type Picture,
  type Question,
  Refusal,
  type Slid,
  type SlidEverywhere,
  type Spot,
  type Trail,
  type Trial,
  type Unit,
} from "./types";

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A run that is not sent yet, because another one is on its way. */
interface Next {
  question: Question;
  resolve(answer: Answer | null): void;
  reject(error: Error): void;
}

export class RemoteEngine implements Engine {
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  private running = false;
  private next: Next | null = null;
  private sent: Picture | null = null;
  private ended: Refusal | null = null;

  constructor(
    private readonly line: Line,
    private readonly end: () => void,
  ) {
    line.onmessage = ({ data }: MessageEvent<Reply>) => this.replied(data);
  }

  open(files: ModelFiles): Promise<Model> {
    this.next?.resolve(null);
    this.next = null;
    return this.call("open", files);
  }

  run(question: Question): Promise<Answer | null> {
    return new Promise((resolve, reject) => {
      this.next?.resolve(null);
      this.next = { question, resolve, reject };
      this.runNext();
    });
  }

  paint(mosaics: readonly Mosaic[]): Promise<Painted[]> {
    return this.call("paint", mosaics);
  }

  map(layer: number, unit: number): Promise<{ size: readonly [number, number]; values: Float32Array }> {
    return this.call("map", layer, unit);
  }

  follow(spot: Spot, wanted: Unit | null): Promise<Trail> {
    return this.call("follow", spot, wanted);
  }

  filter(layer: number, unit: number): Promise<{ size: readonly [number, number, number]; values: Float32Array }> {
    return this.call("filter", layer, unit);
  }

  slid(y: number, x: number): Promise<Slid> {
    return this.call("slid", y, x);
  }

  slidEverywhere(): Promise<SlidEverywhere> {
    return this.call("slidEverywhere");
  }

  components(layer: number): Promise<Components> {
    return this.call("components", layer);
  }

  /** One picture after the other, so that runs come between. */
  async check(answers: CheckFile): Promise<Check> {
    if (answers.format !== 1 || !Array.isArray(answers.pictures)) {
      throw new Refusal("check");
    }
    let difference = 0;
    for (const picture of answers.pictures) {
      difference = Math.max(difference, await this.call("check", picture));
    }
    return { difference, pictures: answers.pictures.length };
  }

  trial(shapes: readonly Shape[], size: readonly [number, number]): Promise<Trial> {
    return this.call("trial", shapes, size);
  }

  teach(features: Float32Array, labels: Int32Array, classes: number): Promise<Taught> {
    return this.call("teach", features, labels, classes);
  }

  openTrunk(files: ModelFiles, id: string, cut?: number): Promise<OpenTrunk> {
    return this.call("openTrunk", files, id, cut);
  }

  taughtFolder(head: Head, told: Told): Promise<ModelFiles> {
    return this.call("taughtFolder", head, told);
  }

  close(): void {
    this.stop(new Refusal("closed"));
  }

  /** Ends everything that waits with this refusal; nothing is answered from here on. */
  stop(refusal: Refusal): void {
    if (this.ended) {
      return;
    }
    this.ended = refusal;
    this.end();
    this.next?.reject(refusal);
    this.next = null;
    this.waiting.forEach(({ reject }) => reject(refusal));
    this.waiting.clear();
  }

  private runNext(): void {
    if (this.running || this.next === null) {
      return;
    }
    const { question, resolve, reject } = this.next;
    this.next = null;
    this.running = true;
    const { picture } = question;
    const same = picture === this.sent;
    this.sent = picture;
    this.call("run", { ...question, picture: same ? "same" : picture })
      .then(resolve, (error: Error) => {
        this.sent = null; // who knows whether it arrived
        reject(error);
      })
      .finally(() => {
        this.running = false;
        this.runNext();
      });
  }

  private call<Which extends Name>(name: Which, ...sent: Calls[Which]): Promise<Result<Which>> {
    return new Promise((resolve, reject) => {
      if (this.ended) {
        reject(this.ended);
        return;
      }
      const id = this.calls++;
      const call: Call<Which> = { id, name, sent };
      this.line.postMessage(call);
      this.waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
    });
  }

  private replied(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if ("result" in reply) {
      waiting?.resolve(reply.result);
    } else if ("refusal" in reply) {
      waiting?.reject(new Refusal(reply.refusal.code, reply.refusal.values));
    } else {
      waiting?.reject(new Error(reply.error));
    }
  }
}
