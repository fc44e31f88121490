/** The picture that is tried: a camera's, a file's or a drawing's; and how one of them becomes a picture of a class. */
import { View } from "../app/view.svelte";
import { type Picture, Refusal } from "../net/types";
import { Camera } from "../pictures/camera.svelte";
import { decode } from "../pictures/decode";
import { Drawing } from "../pictures/drawing.svelte";
import type { Group, Lesson } from "./group.svelte";
import type { Asked, TrunkInUse } from "./trunk_in_use.svelte";

const BURST = 150; // milliseconds between two pictures of a camera that is held

interface Classes {
  /** What was learnt last. */
  lesson: () => Lesson | null;
  /** Keeps a picture in a class; false where the class takes no more, which is said. */
  keep: (group: Group, asked: Asked) => boolean;
}

export class Trying {
  source = $state<"camera" | "file" | "drawing" | null>(null);
  /** What the network saw of it. */
  seen = $state.raw<Picture | null>(null);
  drawing = $state.raw<Drawing | null>(null);
  /** The class that the drawing is for, and the one that takes the camera's pictures now. */
  target = $state.raw<Group | null>(null);
  holding = $state.raw<Group | null>(null);
  readonly camera: Camera;
  /** The answer, as the parts of See show one. */
  readonly inner: View;
  private last: Asked | null = null;
  private owed: Group | null = null;
  private taken = 0;
  private newest: Picture | null = null;
  private asking = false;

  constructor(
    private readonly view: View,
    private readonly trunk: TrunkInUse,
    private readonly classes: Classes,
  ) {
    this.inner = new View(view.engine); // which it is never asked to use: the trunk has an engine of its own
    this.camera = new Camera({
      size: () => trunk.size,
      take: (picture) => this.frame(picture),
      lost: () => {
        this.rest();
        view.refuse(new Refusal("camera-lost"));
      },
    });
  }

  /** The camera stops, and whatever waited for it. */
  rest(): void {
    this.camera.stop();
    this.holding = null;
    this.owed = null;
  }

  async file(file: Blob): Promise<void> {
    this.rest();
    try {
      const picture = await decode(file, Math.max(...this.trunk.size));
      this.stopDrawing();
      this.source = "file";
      this.view.notice = null;
      await this.ask(picture);
    } catch (error) {
      this.view.refuse(error);
    }
  }

  async toggleCamera(): Promise<void> {
    if (this.camera.running || this.camera.starting) this.rest();
    else await this.startCamera();
  }

  private async startCamera(): Promise<void> {
    if (this.camera.running || this.camera.starting) return;
    this.stopDrawing();
    try {
      await this.camera.start();
      if (this.camera.running) this.source = "camera";
    } catch (error) {
      this.rest();
      this.view.refuse(error);
    }
  }

  /** The camera's pictures go to this class until it is let go of: one at least, also when that is at once. */
  async hold(group: Group): Promise<void> {
    this.holding = group;
    this.owed = group;
    await this.startCamera();
  }

  letGo(): void {
    this.holding = null;
  }

  private async frame(picture: Picture): Promise<void> {
    try {
      const asked = await this.trunk.ask(picture);
      if (!this.camera.running) return;
      this.show(asked);
      const group = this.holding ?? this.owed;
      const now = performance.now();
      if (!group || now - this.taken < BURST) return;
      this.taken = now;
      this.owed = null;
      if (!this.classes.keep(group, asked)) this.holding = null;
    } catch (error) {
      this.rest();
      this.view.refuse(error);
    }
  }

  /** A new sheet, for a class or only to be tried. */
  draw(target: Group | null): void {
    const { model } = this.trunk;
    if (!model) return;
    this.rest();
    this.source = "drawing";
    this.target = target;
    this.drawing = new Drawing(model.size, model.channels, (picture) => void this.ask(picture));
  }

  stopDrawing(): void {
    this.drawing = null;
    this.target = null;
    if (this.source === "drawing") this.source = null;
  }

  /** The drawing becomes a picture of its class, and the sheet is new. */
  keepDrawing(): void {
    const { target, last, drawing } = this;
    if (target && last && drawing && this.classes.keep(target, last)) drawing.clear();
  }

  /** Of pictures that come faster than they are answered, the newest is tried. */
  private async ask(picture: Picture): Promise<void> {
    this.newest = picture;
    if (this.asking) return;
    this.asking = true;
    try {
      for (let next: Picture | null = picture; next; next = this.newest) {
        this.newest = null;
        this.show(await this.trunk.ask(next));
      }
    } catch (error) {
      this.view.refuse(error);
    } finally {
      this.asking = false;
    }
  }

  private show(asked: Asked): void {
    if (asked.trunk !== this.trunk.cut) return;
    const [height, width] = asked.answer.size;
    this.last = asked;
    this.seen = { width, height, data: asked.answer.seen };
    this.answer();
  }

  /** The answer of what was learnt last, to the same picture. */
  answer(): void {
    const lesson = this.classes.lesson();
    this.inner.answer = lesson && this.last ? lesson.answer(this.last.answer) : null;
  }

  /** Another trunk: what the one before saw says nothing any more, and the same picture is asked about again. */
  begin(): void {
    const { model } = this.trunk;
    const before = this.seen;
    this.last = null;
    this.answer();
    if (this.drawing && model && !this.drawing.fits(model.size, model.channels)) this.draw(this.target);
    else if (before) void this.ask(before);
  }
}
