/** What the page shows now. Made once in App.svelte; every part reads it and changes it by its fields. */
import { getContext, setContext } from "svelte";
import { mosaicsFor } from "../draw/mosaic";
import type { Answer, Cover, Engine, Model, Mosaic, Picture } from "../net/types";
import { neutral } from "./names";
import { sentenceOf } from "./refusals";
import type { SiteModel } from "./site";
import { type Language, reader } from "./words.svelte";

export type Theme = "light" | "dark";

/** Where the reader is: a number is a chapter of Learn. */
export type Place = "see" | "teach" | number;

/** What the engine is asked about. `size`: (H, W); null for the model's own. */
export interface Asked {
  picture: Picture | null;
  size: readonly [number, number] | null;
  cover: Cover | null;
}

const KEY = Symbol("view");
const SPOKEN_EVERY = 1000; // milliseconds: a screen reader is told at most once a second

/** `model`, `answer` and what is asked are never deep state: behind proxies, painting took 18 times as long. */
export class View {
  model = $state.raw<Model | null>(null);
  /** What page.json says of the open model; null for one that the reader opened. */
  entry = $state.raw<SiteModel | null>(null);
  asked = $state.raw<Asked>({ picture: null, size: null, cover: null });
  answer = $state.raw<Answer | null>(null);
  /** Class whose map lies over the picture; null: the top class. `minus`: a second class, subtracted. */
  chosen = $state<number | null>(null);
  minus = $state<number | null>(null);
  /** Layer (index in model.layers) whose card is open, and its map that is shown large. */
  layer = $state<number | null>(null);
  unit = $state<number | null>(null);
  /** One place: of that mlpconv layer's maps before pooling. */
  at = $state.raw<{ block: number; y: number; x: number } | null>(null);
  /** The unit of that place whose sum is written out; null: the strongest of the last layer. */
  followed = $state.raw<{ layer: number; unit: number } | null>(null);
  /** The place that the page itself began with: no choice of the reader's, so no part of the address. */
  begun = $state.raw<{ block: number; y: number; x: number } | null>(null);
  /** The place pointed at, in shares 0..1 of the picture. */
  hover = $state.raw<{ y: number; x: number } | null>(null);
  place = $state<Place>("see");
  theme = $state<Theme>("light");
  /** Order of maps in an opened card. */
  order = $state<"number" | "strength">("number");
  /** Grows with every answer: what was asked of the engine about the one before must be asked again. */
  revision = $state(0);
  /** What the live region says, and the one line that tells the reader of something. */
  spoken = $state("");
  notice = $state<string | null>(null);
  private last = 0;
  private waiting: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly engine: Engine) {}

  get language(): Language {
    return reader.language;
  }

  set language(language: Language) {
    reader.language = language;
  }

  /** What every run draws. Whenever this changes, the same maps are drawn again: see `repaint`. */
  mosaics(): Mosaic[] {
    return mosaicsFor(this);
  }

  /** Name of a class in the reader's language, as text that moves nothing. */
  title(index: number): string {
    const translated = this.language === "ko" ? this.entry?.labels.ko?.[index] : undefined;
    return neutral(translated ?? this.model?.classes[index] ?? String(index));
  }

  /** The class whose map lies over the picture. */
  get shown(): number | null {
    return this.chosen ?? this.answer?.top ?? null;
  }

  /** A model takes the place of the one before; nothing of that is shown any more but its picture. */
  show(model: Model, entry: SiteModel | null): void {
    this.answer = null;
    this.chosen = null;
    this.minus = null;
    this.layer = null;
    this.unit = null;
    this.at = null;
    this.begun = null;
    this.followed = null;
    this.hover = null;
    this.asked = { picture: this.asked.picture, size: null, cover: null };
    this.entry = entry;
    this.model = model;
  }

  /** Ask the engine about another picture, size or cover; done when it has answered or a newer question has come. */
  async look(change: Partial<Asked>): Promise<void> {
    this.asked = { ...this.asked, ...change };
    const { picture, size, cover } = this.asked;
    const model = this.model;
    if (!model || !picture) return;
    try {
      const question = { picture, size: size ?? model.size, cover, mosaics: this.mosaics() };
      const answer = await this.engine.run(question);
      if (!answer || this.model !== model) return;
      this.answer = answer;
      this.revision += 1;
    } catch (error) {
      if (this.model === model) this.refuse(error);
    }
  }

  /** The maps of the last answer drawn anew: for another theme, or another order. */
  async repaint(): Promise<void> {
    const { model, revision } = this;
    if (!model || !this.answer) return;
    try {
      const painted = await this.engine.paint(this.mosaics());
      if (this.answer && this.model === model && this.revision === revision) this.answer = { ...this.answer, painted };
    } catch (error) {
      if (this.model === model) this.refuse(error);
    }
  }

  /** Tell the reader in one line. */
  tell(text: string): void {
    this.notice = text;
    this.announce(text);
  }

  refuse(error: unknown): void {
    this.tell(sentenceOf(error));
  }

  /** Tell the reader of a screen reader, at most once a second; of several the newest is said. */
  announce(text: string): void {
    clearTimeout(this.waiting);
    const left = this.last + SPOKEN_EVERY - Date.now();
    const say = () => {
      this.last = Date.now();
      this.spoken = text;
    };
    this.waiting = setTimeout(say, Math.max(0, left));
  }
}

export function setView(view: View): View {
  return setContext(KEY, view);
}

export function getView(): View {
  return getContext<View>(KEY);
}
