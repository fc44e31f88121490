/** The trunk that pictures go through, in an engine of its own: See keeps the model that is open there. */
import type { Offer } from "../app/opened";
import { filesOf } from "../app/reading";
import type { View } from "../app/view.svelte";
import { connect } from "../net/client";
import type { Answer, Engine, Model, ModelFiles, Picture } from "../net/types";
import type { Told } from "./folder_of";
import type { Head } from "./taught";
import type { TrunkFacts } from "./trunk";

/** What a trunk makes of a picture: its maps are the answer's class maps, their means its logits. */
export interface Asked {
  answer: Answer;
  trunk: TrunkFacts;
}

export class TrunkInUse {
  offer = $state.raw<Offer | null>(null);
  cut = $state.raw<TrunkFacts | null>(null);
  /** The trunk as a model whose classes are its maps. */
  model = $state.raw<Model | null>(null);
  private engine: Engine | null = null;
  private line: Promise<unknown> = Promise.resolve();
  private turn = 0;

  constructor(
    private readonly view: View,
    /** Another trunk is in use: what was asked of the one before holds no more. */
    private readonly changed: () => void,
  ) {}

  /** (H, W) of what it sees. */
  get size(): readonly [number, number] {
    return this.cut?.size ?? [32, 32];
  }

  /** Takes a model as the trunk, cut after an mlpconv layer; by default after the last but one. */
  async choose(offer: Offer, cut?: number): Promise<void> {
    const turn = ++this.turn;
    try {
      const files = await filesOf(offer.source, offer.entry);
      await this.inLine(async (engine) => {
        if (turn !== this.turn) return;
        const { trunk, model } = await engine.openTrunk(files, offer.entry.id, cut);
        this.model = model;
        this.offer = offer;
        this.cut = trunk;
        this.changed();
      });
    } catch (error) {
      if (turn === this.turn) this.view.refuse(error);
    }
  }

  /** Asks about a picture. Throws Refusal. */
  ask(picture: Picture): Promise<Asked> {
    return this.inLine(async (engine) => {
      const answer = await engine.run({ picture });
      if (!answer || !this.cut) throw new Error("the trunk gave way to another question");
      return { answer, trunk: this.cut };
    });
  }

  /** The files of the model that a head makes of it. */
  folder(head: Head, told: Told): Promise<ModelFiles> {
    return this.inLine((engine) => engine.taughtFolder(head, told));
  }

  /** One after the other, so that no question gives way to a newer one. */
  private inLine<T>(job: (engine: Engine) => Promise<T>): Promise<T> {
    const engine = (this.engine ??= connect());
    const done = this.line.then(() => job(engine));
    this.line = done.catch(() => undefined);
    return done;
  }

  close(): void {
    this.engine?.close();
  }
}
