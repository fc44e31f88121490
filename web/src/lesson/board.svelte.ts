/** The board of chapter 7: the pictures on it, and what the network that is open makes of it. */
import type { Opener } from "../app/opener.svelte";
import type { View } from "../app/view.svelte";
import type { Answer, Model, Picture } from "../net/types";
import { decode } from "../pictures/decode";
import { boardSize, chosen, inside, laid, type Paper, paperFor, placeOf, type Tile, tileSize } from "./board";

const FIRST = 3; // pictures to begin with
const MOST = 4;
const TRIES = 20; // a question that gave way to a newer one is asked again

/** The picture with left and right exchanged. */
function turned({ width, height, data }: Picture): Picture {
  const words = new Uint32Array(data.slice().buffer);
  for (let row = 0; row < height; row++) words.subarray(row * width, (row + 1) * width).reverse();
  return { width, height, data: new Uint8ClampedArray(words.buffer) };
}

export class Board {
  /** In the order in which they lie: the last one is on top. */
  tiles = $state.raw<readonly Tile[]>([]);
  paper = $state<Paper>("grey");
  answer = $state.raw<Answer | null>(null);
  /** Sides of the class maps of one picture by itself. */
  own = $state.raw<readonly [number, number]>([1, 1]);
  private model = $state.raw<Model | null>(null);
  private ids = 0;
  private asked = 0;
  private shown = 0;

  constructor(
    private readonly view: View,
    private readonly opener: Opener,
  ) {}

  /** Of the board in pixels; before a model is open, in the shape that most boards have, so that nothing moves. */
  get size(): readonly [number, number] {
    return boardSize(this.model ? tileSize(this.model) : [1, 1]);
  }

  /** Clears the board for a model, and lays its first pictures on it. */
  async begin(model: Model): Promise<void> {
    this.model = model;
    this.tiles = [];
    this.answer = null;
    if (model.fixed) return;
    try {
      const pictures = await this.firstPictures(model);
      for (const picture of pictures) await this.put(model, picture);
      if (this.model !== model) return;
      this.paper = paperFor(this.tiles);
      await this.ask();
    } catch (error) {
      if (this.model === model) this.view.refuse(error);
    }
  }

  /** Another picture, in the place of the oldest where there are many. */
  async add(file: Blob): Promise<void> {
    const { model } = this;
    if (!model || model.fixed) return;
    try {
      const picture = await decode(file, Math.max(...tileSize(model)));
      if (this.tiles.length >= MOST) this.tiles = this.tiles.filter(({ id }) => id !== this.oldest());
      await this.put(model, picture);
      await this.ask();
    } catch (error) {
      this.view.refuse(error);
    }
  }

  lift(id: number): void {
    const own = this.tiles.filter((tile) => tile.id === id);
    this.tiles = [...this.tiles.filter((tile) => tile.id !== id), ...own];
  }

  move(id: number, y: number, x: number): void {
    const before = this.tiles.find((tile) => tile.id === id);
    if (!before) return;
    const at = inside(y, x, before.size);
    if (at.y === before.y && at.x === before.x) return;
    this.tiles = this.tiles.map((tile) => (tile.id === id ? { ...tile, ...at } : tile));
    void this.ask();
  }

  choose(paper: Paper): void {
    this.paper = paper;
    void this.ask();
  }

  /** The board as one picture. */
  picture(): Picture {
    return laid(this.tiles, this.size, this.paper);
  }

  private oldest(): number {
    return Math.min(...this.tiles.map(({ id }) => id));
  }

  /** The reader's own picture and examples; one alone lies there twice, the second time turned. */
  private async firstPictures(model: Model): Promise<Picture[]> {
    const { opener, view } = this;
    const pictures: Picture[] = [];
    if (opener.origin !== "example" && view.asked.picture) pictures.push(view.asked.picture);
    const { offer } = opener;
    const examples = offer?.entry.examples ?? [];
    const labels = examples.map(({ label }) => label);
    for (const number of chosen(labels, Math.min(examples.length, FIRST - pictures.length))) {
      const bytes = await offer!.source.read(`${offer!.entry.folder}/${examples[number].file}`);
      pictures.push(await decode(new Blob([bytes]), Math.max(...tileSize(model))));
    }
    return pictures.length === 1 ? [pictures[0], turned(pictures[0])] : pictures;
  }

  /** Asks what a picture is by itself, and lays it where there is room. */
  private async put(model: Model, picture: Picture): Promise<void> {
    const size = tileSize(model);
    let answer: Answer | null = null;
    for (let tries = 0; answer === null && tries < TRIES && this.model === model; tries++) {
      answer = await this.view.engine.run({ picture, size });
    }
    if (!answer || this.model !== model) return;
    this.own = answer.mapSize;
    const id = this.ids++;
    const data = answer.seen;
    this.tiles = [...this.tiles, { id, data, size, ...placeOf(id % MOST, size), top: answer.top }];
  }

  private async ask(): Promise<void> {
    const { model } = this;
    if (!model) return;
    const number = ++this.asked;
    try {
      const answer = await this.view.engine.run({ picture: this.picture(), size: this.size });
      if (!answer || this.model !== model || number < this.shown) return;
      this.shown = number;
      this.answer = answer;
    } catch (error) {
      if (this.model === model) this.view.refuse(error);
    }
  }
}
