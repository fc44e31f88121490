/** What the page shows now. Made once in App.svelte; every part reads it and changes it by its fields. */
import { getContext, setContext } from "svelte";
import { mosaicsFor } from "../draw/mosaic";
import type { Answer, Cover, Engine, Model, Mosaic, Picture } from "../net/types";
import { neutral } from "./names";
import type { SiteModel } from "./site";
import { type Language, reader } from "./words.svelte";

export type Theme = "light" | "dark";

const KEY = Symbol("view");
const SPOKEN_EVERY = 1000; // milliseconds: a screen reader is told at most once a second

/** `model`, `answer` and `picture` are never deep state: behind proxies, painting all maps took 18 times as long. */
export class View {
  model = $state.raw<Model | null>(null);
  /** What page.json says of the open model; null for a model that the reader opened. */
  entry = $state.raw<SiteModel | null>(null);
  /** What the engine is asked about: changes of these three are followed by a new answer. */
  picture = $state.raw<Picture | null>(null);
  size = $state.raw<readonly [number, number] | null>(null); // null: the model's own
  cover = $state.raw<Cover | null>(null);
  answer = $state.raw<Answer | null>(null);
  /** Class whose map lies over the picture; null: the top class. `minus`: a second class, subtracted. */
  chosen = $state<number | null>(null);
  minus = $state<number | null>(null);
  /** Layer (index in model.layers) whose card is open, and its map that is shown large. */
  layer = $state<number | null>(null);
  unit = $state<number | null>(null);
  /** One place: of that mlpconv layer's maps before pooling. */
  at = $state.raw<{ block: number; y: number; x: number } | null>(null);
  /** The place pointed at, in shares 0..1 of the picture. */
  hover = $state.raw<{ y: number; x: number } | null>(null);
  theme = $state<Theme>("light");
  /** Order of maps in an opened card. */
  order = $state<"number" | "strength">("number");
  /** Grows with every answer: what was asked of the engine about the one before must be asked again. */
  revision = $state(0);
  /** What the live region says. */
  spoken = $state("");
  private last = 0;
  private waiting: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly engine: Engine) {}

  get language(): Language {
    return reader.language;
  }

  set language(language: Language) {
    reader.language = language;
  }

  /** What every run draws. The page asks for other drawings of the same maps whenever this changes. */
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

  /** Tell the reader of a screen reader, at most once a second; of several the newest is said. */
  announce(text: string): void {
    clearTimeout(this.waiting);
    const left = this.last + SPOKEN_EVERY - Date.now();
    this.waiting = setTimeout(() => {
      this.last = Date.now();
      this.spoken = text;
    }, Math.max(0, left));
  }
}

export function setView(view: View): View {
  return setContext(KEY, view);
}

export function getView(): View {
  return getContext<View>(KEY);
}
