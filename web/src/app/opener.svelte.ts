/** Opens models and pictures, one at a time; what was begun before and is no longer wanted is dropped. */
import { getContext, setContext } from "svelte";
import type { Check, CheckFile, Cover, Model, Picture } from "../net/types";
import { decode } from "../pictures/decode";
import type { Address } from "./address";
import { neutral } from "./names";
import { bytes } from "./numbers";
import { opened, type Found, type Offer } from "./opened";
import { filesOf, jsonOf, type Source } from "./reading";
import type { Site } from "./site";
import type { View } from "./view.svelte";
import { t } from "./words.svelte";

const LARGE = 8e6; // bytes of a model from which reading it takes a while: said before
const CHECK_AFTER = 600; // milliseconds after an answer: the reader comes first
const DECODE_AFTER = 150; // milliseconds without another size: a slider that is dragged decodes nothing

/** Where the picture comes from. */
export type Origin = "example" | "file" | "camera" | "drawing";

/** A picture file and its pixels. */
interface Ready {
  file: Blob;
  picture: Picture;
}

/** How the answers agree with Python's: not asked yet, nothing to ask, could not be asked, or the difference. */
export type Agreement = "waiting" | "absent" | "failed" | Check;

export class Opener {
  /** What can be opened, and what is. */
  offers = $state.raw<readonly Offer[]>([]);
  offer = $state.raw<Offer | null>(null);
  /** What is being read, in words. */
  reading = $state<string | null>(null);
  origin = $state<Origin | null>(null);
  /** Number of the example that is shown, from 0. */
  example = $state<number | null>(null);
  agreement = $state.raw<Agreement>("waiting");
  /** The version of nin that made the page. */
  version = "";
  private turn = 0;
  private pictureTurn = 0;
  /** The file of the picture that is shown; null for the camera and a drawing. */
  private file: Blob | null = null;

  constructor(
    private readonly view: View,
    /** Before another model or picture is shown: the camera stops. */
    private readonly before: () => void,
    /** A model is shown that no address asked for. */
    private readonly another: () => void,
  ) {}

  /** Offers the models of a page. */
  add(site: Site, source: Source): void {
    this.version = site.nin;
    this.offers = site.models.map((entry) => ({ entry, source, own: false }));
  }

  byId(id: string | null): Offer | undefined {
    return this.offers.find(({ entry }) => entry.id === id);
  }

  /** Opens a model, and shows of it what an address says. Whether it is open now. */
  async open(offer: Offer, wish: Address | null): Promise<boolean> {
    const turn = ++this.turn;
    const { entry, source } = offer;
    this.reading = t(entry.bytes > LARGE ? "app.readingLarge" : "app.reading", {
      model: neutral(entry.id),
      size: bytes(entry.bytes),
    });
    let ready: Ready | null;
    try {
      const files = await filesOf(source, entry);
      if (turn !== this.turn) return false;
      const opened = this.view.engine.open(files);
      ready = await this.prepared(offer, wish, opened);
      const model = await opened;
      if (turn !== this.turn) return false;
      this.offer = offer;
      this.agreement = "waiting";
      if (this.origin === "example") this.example = null;
      this.view.show(model, entry);
      this.view.notice = null;
    } catch (error) {
      if (turn === this.turn) await this.reopen(error);
      return false;
    } finally {
      if (turn === this.turn) this.reading = null;
    }
    if (wish) this.apply(wish);
    else this.another();
    await this.picture(wish?.example ?? null, ready);
    if (turn === this.turn) setTimeout(() => void this.check(offer), CHECK_AFTER);
    return true;
  }

  /** After a refusal the model that was open is open again: the engine may have let it go. */
  private async reopen(error: unknown): Promise<void> {
    this.view.refuse(error);
    const { offer, view } = this;
    if (!offer || !view.model) return;
    try {
      await view.engine.open(await filesOf(offer.source, offer.entry));
      await view.look({});
    } catch (second) {
      view.refuse(second);
    }
  }

  /** The parts of an address that fit the open model. */
  apply(wish: Address): void {
    const { view } = this;
    const model = view.model;
    if (!model) return;
    const classOf = (name: string | null) => {
      const index = name === null ? -1 : model.classes.indexOf(name);
      return index < 0 ? null : index;
    };
    view.chosen = classOf(wish.class);
    view.minus = classOf(wish.minus);
    const layer = model.layers.find((one) => one.block === wish.layer?.block && one.depth === wish.layer.depth);
    view.layer = layer?.index ?? null;
    view.unit = layer && wish.unit !== null && wish.unit < layer.channels ? wish.unit : null;
    view.at = wish.at && model.layers.some(({ block }) => block === wish.at?.block) ? wish.at : null;
    const size = sizeOf(model.size, wish.size);
    const fits = size && !model.fixed && Math.min(...size) >= model.least && Math.max(...size) <= mostSide(model.size);
    const [height, width] = (fits ? size : null) ?? model.size;
    const cover = wish.cover;
    const inside = cover && cover.y + cover.side <= height && cover.x + cover.side <= width;
    view.asked = { ...view.asked, size: fits ? size : null, cover: inside ? cover : null };
  }

  /** The picture of a model that was just opened: an example, or what the reader brought. */
  private async picture(example: number | null, ready: Ready | null): Promise<void> {
    const index = this.offer && this.firstExample(this.offer, example);
    if (index !== null) await this.showExample(index, ready);
    else if (this.file) await this.showFile(this.file);
    else await this.view.look({});
  }

  /** The example that a model begins with: the one asked for, the first, or none where the reader has a picture. */
  private firstExample({ entry: { examples } }: Offer, asked: number | null): number | null {
    const own = this.origin !== null && this.origin !== "example";
    if (!examples.length || (asked === null && own)) return null;
    return asked !== null && asked <= examples.length ? asked - 1 : 0;
  }

  /**
   * The example that a model begins with, read while the engine opens the model and decoded before anything of it is
   * shown, so that the engine answers while the page draws. Null where that is not known yet or cannot be had: whoever
   * shows the picture says so.
   */
  private async prepared(offer: Offer, wish: Address | null, opened: Promise<Model>): Promise<Ready | null> {
    const index = this.firstExample(offer, wish?.example ?? null);
    if (index === null || (wish?.size ?? null) !== null) return null;
    try {
      const [file, model] = await Promise.all([exampleOf(offer, index), opened]);
      return { file, picture: await decode(file, Math.max(...model.size)) };
    } catch {
      return null;
    }
  }

  async showExample(index: number, ready: Ready | null = null): Promise<void> {
    const { offer } = this;
    if (!offer?.entry.examples[index]) return;
    if (await this.show(() => exampleOf(offer, index), "example", ready)) this.example = index;
  }

  async showFile(file: Blob): Promise<void> {
    await this.show(() => Promise.resolve(file), "file");
  }

  /** Decodes a picture for the size at which the network looks, and shows it. Whether it is shown. */
  private async show(read: () => Promise<Blob>, origin: "example" | "file", ready?: Ready | null): Promise<boolean> {
    const turn = ++this.pictureTurn;
    const { offer, view } = this;
    this.before();
    try {
      const file = ready?.file ?? (await read());
      const picture = ready?.picture ?? (await decode(file, this.near()));
      if (turn !== this.pictureTurn || this.offer !== offer) return false;
      this.file = file;
      this.origin = origin;
      this.example = null;
      view.notice = null;
      void view.look({ picture });
      return true;
    } catch (error) {
      if (turn === this.pictureTurn) view.refuse(error);
      return false;
    }
  }

  /** The longer side of what the network looks at: a photo is decoded no larger than that needs, as in Python. */
  private near(size = this.view.asked.size): number {
    return Math.max(...(size ?? this.view.model?.size ?? [32]));
  }

  /** Another size to look at; a photo is decoded anew where that one needs another version of it. */
  async resize(size: readonly [number, number] | null, cover: Cover | null): Promise<void> {
    const { file, pictureTurn, view } = this;
    const again = file && this.near(size) !== this.near();
    await view.look({ size, cover });
    await new Promise((resolve) => setTimeout(resolve, DECODE_AFTER));
    if (!again || pictureTurn !== this.pictureTurn || view.asked.size !== size) return;
    const picture = await decode(file, this.near());
    if (pictureTurn === this.pictureTurn && view.asked.size === size) await view.look({ picture });
  }

  /** The pictures that come now are the camera's or a drawing's; a file that is still being decoded is dropped. */
  live(origin: "camera" | "drawing"): void {
    this.pictureTurn += 1;
    this.file = null;
    this.origin = origin;
    this.example = null;
  }

  /** Whatever was dropped, pasted or chosen. */
  async take(found: readonly Found[]): Promise<void> {
    try {
      const what = await opened(found);
      if ("picture" in what) {
        await this.showFile(what.picture);
        return;
      }
      await this.openFirst(what.offers);
    } catch (error) {
      this.view.refuse(error);
    }
  }

  /** Opens the first of these models; then all of them are offered. */
  async openFirst(offers: readonly Offer[]): Promise<boolean> {
    const named = offers.map((offer) => this.named(offer));
    const [first] = named;
    const isOpen = first !== undefined && (await this.open(first, null));
    if (isOpen) this.offers = [...this.offers, ...named];
    return isOpen;
  }

  /** Shows pixels that another part of the page has looked at, whatever model is open. */
  showPicture(picture: Picture): void {
    this.live("camera");
    this.view.asked = { ...this.view.asked, picture };
  }

  /** The offer under a name that no other has. */
  private named(offer: Offer): Offer {
    const { id } = offer.entry;
    let free = id;
    for (let number = 2; this.byId(free); number++) free = `${id} (${number})`;
    return { ...offer, entry: { ...offer.entry, id: free } };
  }

  /** Python's answers compared with the page's, when nothing else is going on. */
  private async check(offer: Offer): Promise<void> {
    const { view } = this;
    if (this.offer !== offer || this.agreement !== "waiting") return;
    if (this.origin === "camera" || this.reading) {
      setTimeout(() => void this.check(offer), CHECK_AFTER);
      return;
    }
    try {
      const answers = (await jsonOf(offer.source, offer.entry, "check.json")) as CheckFile | null;
      const found = answers ? await view.engine.check(answers) : "absent";
      if (this.offer !== offer) return;
      this.agreement = found;
      if (found !== "absent" && found.difference > MOST_DIFFERENCE) view.tell(t("menu.disagrees"));
    } catch {
      if (this.offer === offer) this.agreement = "failed";
    }
  }
}

async function exampleOf({ entry, source }: Offer, index: number): Promise<Blob> {
  return new Blob([await source.read(`${entry.folder}/${entry.examples[index].file}`)]);
}

const KEY = Symbol("opener");

export function setOpener(opener: Opener): Opener {
  return setContext(KEY, opener);
}

export function getOpener(): Opener {
  return getContext<Opener>(KEY);
}

/** Largest difference of a probability from Python's that is no reason to warn. */
export const MOST_DIFFERENCE = 1e-4;

/** Size (H, W) with this longer side, in the shape of the model's own. */
export function sizeOf(own: readonly [number, number], longer: number | null): readonly [number, number] | null {
  if (longer === null) return null;
  const scale = longer / Math.max(...own);
  return [Math.max(1, Math.round(own[0] * scale)), Math.max(1, Math.round(own[1] * scale))];
}

/** The longest side that the page looks at: 128 pixels, or the model's own if that is more. */
export function mostSide(own: readonly [number, number]): number {
  return Math.max(128, ...own);
}
