/** Teach: classes and their pictures, and what is learnt of them a moment after the last one has come. */
import { neutral } from "../app/names";
import { count, percent } from "../app/numbers";
import { opened, type Found, type Offer } from "../app/opened";
import type { Opener } from "../app/opener.svelte";
import { sentenceOf } from "../app/refusals";
import type { View } from "../app/view.svelte";
import { t } from "../app/words.svelte";
import { type Model, type Picture, Refusal } from "../net/types";
import { decode } from "../pictures/decode";
import { answering } from "./answering";
import { clean, MOST_CLASSES, MOST_PICTURES, pilesOf, thinned, twice } from "./given";
import { Group, type Kept, type Lesson } from "./group.svelte";
import type { Taught } from "./taught";
import { type Asked, TrunkInUse } from "./trunk_in_use.svelte";
import { Trying } from "./trying.svelte";

const TRAIN_AFTER = 300; // milliseconds without another picture

interface Job {
  group: Group;
  file: File;
}

export class Teach {
  groups = $state.raw<readonly Group[]>([new Group(1), new Group(2)]);
  lesson = $state.raw<Lesson | null>(null);
  /** Pictures that are still to be read, or read again for another trunk. */
  waiting = $state(0);
  readonly trunk: TrunkInUse;
  readonly trying: Trying;
  readonly count = $derived(this.groups.reduce((sum, group) => sum + group.kept.length, 0));
  /** What stands in the way of saving, in words; null for nothing. */
  readonly trouble = $derived.by(() => this.troubleNow());
  /** The classes on the trunk: those that were learnt, or those that are to be. */
  readonly model = $derived.by(() => this.modelNow());
  private features = new WeakMap<Kept, Float32Array>();
  private ids = 2;
  private jobs: Job[] = [];
  private refusals: { file: string; error: unknown }[] = [];
  private read = 0;
  private reading = false;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private training = 0;
  private trained: Promise<void> = Promise.resolve();

  constructor(
    private readonly view: View,
    private readonly opener: Opener,
    /** Leads to See. */
    private readonly leave: () => void,
  ) {
    this.trunk = new TrunkInUse(view, () => this.trunkChanged());
    this.trying = new Trying(view, this.trunk, {
      lesson: () => this.lesson,
      keep: (group, asked) => this.keep(group, asked),
    });
  }

  /** The name of a class as it is shown: its own, or its number while it has none. */
  title(group: Group): string {
    return neutral(clean(group.name)) || t("teach.class", { n: count(this.groups.indexOf(group) + 1) });
  }

  private modelNow(): Model | null {
    const { lesson } = this;
    const { model } = this.trunk;
    if (!model) return null;
    const classes = (lesson?.groups ?? this.groups).map((group) => this.title(group));
    const { unknownBelow = 0, unknownBeyond = null } = lesson?.taught ?? {};
    return { ...model, classes, unknownBelow: unknownBelow || null, unknownBeyond };
  }

  private troubleNow(): string | null {
    const used = this.groups.filter((group) => group.kept.length);
    const nameless = used.find((group) => !clean(group.name));
    const same = twice(used.map((group) => clean(group.name)));
    if (same !== null) return t("teach.same", { class: neutral(same) });
    if (nameless) return t("teach.nameless", { class: this.title(nameless) });
    return used.length < 2 ? t("teach.begin") : null;
  }

  /** Another class; null where there are as many as can be. */
  add(): Group | null {
    if (this.groups.length >= MOST_CLASSES) return null;
    const group = new Group(++this.ids);
    this.groups = [...this.groups, group];
    return group;
  }

  remove(group: Group): void {
    group.name = this.title(group); // what was learnt of it is shown until the next training
    this.groups = this.groups.filter((one) => one !== group);
    while (this.groups.length < 2) this.add();
    if (this.trying.target === group) this.trying.stopDrawing();
    this.changed();
  }

  removePicture(group: Group, kept: Kept): void {
    group.kept = group.kept.filter((one) => one !== kept);
    this.changed();
  }

  /** Whatever was dropped or pasted: on a class for it, a folder as classes, one picture elsewhere to be tried. */
  async take(found: readonly Found[], at: EventTarget | null): Promise<void> {
    const id = at instanceof Element ? at.closest("[data-group]")?.getAttribute("data-group") : null;
    const group = this.groups.find((one) => String(one.id) === id);
    const isModel = found.some(({ path }) => /(^|\/)config\.json$/.test(path));
    try {
      if (group) this.give(group, found);
      else if (isModel || found.every(({ path }) => !path.includes("/"))) await this.openLoose(found);
      else this.giveAll(found);
    } catch (error) {
      this.view.refuse(error);
    }
  }

  private async openLoose(found: readonly Found[]): Promise<void> {
    const what = await opened(found);
    if ("picture" in what && found.length > 1) throw new Refusal("teach-drop");
    if ("picture" in what) await this.trying.file(what.picture);
    else if ((await this.opener.openFirst(what.offers)) && this.opener.offer) {
      await this.trunk.choose(this.opener.offer);
    }
  }

  /** Each folder is a class: one that is there by its name, an empty one, or a new one. */
  private giveAll(found: readonly Found[]): void {
    const piles = pilesOf(found).filter(({ name }) => name !== null);
    if (!piles.length) throw new Refusal("nothing-opened");
    let left = 0;
    for (const { name, found: some } of piles) {
      const known = this.groups.find((group) => clean(group.name) === name);
      const empty = this.groups.find((group) => !clean(group.name) && !group.kept.length && !this.waits(group));
      const group = known ?? empty ?? this.add();
      if (group) {
        group.name = name ?? "";
        this.give(group, some);
      } else left += 1;
    }
    if (left) this.view.tell(t("teach.tooMany", { most: count(MOST_CLASSES), n: count(left) }));
  }

  private waits(group: Group): number {
    return this.jobs.filter((job) => job.group === group).length;
  }

  /** Files for a class, in the order of their names. */
  give(group: Group, found: readonly Found[]): void {
    const files = pilesOf(found).flatMap((pile) => pile.found.map(({ file }) => file));
    if (!files.length) throw new Refusal("nothing-opened");
    const room = Math.max(0, MOST_PICTURES - group.kept.length - this.waits(group));
    if (files.length > room) this.sayFull(group, files.length, room);
    this.jobs.push(...thinned(files, room).map((file) => ({ group, file })));
    this.waiting += Math.min(files.length, room);
    void this.readAll();
  }

  private sayFull(group: Group, all: number, taken: number): void {
    const numbers = { all: count(all), taken: count(taken), most: count(MOST_PICTURES) };
    this.view.tell(t(taken ? "teach.some" : "teach.full", { class: this.title(group), ...numbers }));
  }

  /** Keeps a picture in a class; false where the class takes no more, or is gone. */
  private keep(group: Group, { answer, trunk }: Asked): boolean {
    if (!this.groups.includes(group)) return false;
    if (group.kept.length >= MOST_PICTURES) {
      this.sayFull(group, group.kept.length, 0);
      return false;
    }
    const [height, width] = answer.size;
    const kept = { id: ++this.ids, picture: { width, height, data: answer.seen } };
    if (trunk === this.trunk.cut) this.features.set(kept, answer.logits);
    group.kept = [...group.kept, kept];
    this.changed();
    return true;
  }

  /** Reads what waits, one after the other: kept pictures for another trunk first, then files. */
  private async readAll(): Promise<void> {
    if (this.reading || !this.trunk.cut) return; // begins again once there is a trunk
    this.reading = true;
    try {
      while (await this.readOne());
    } catch (error) {
      this.jobs = [];
      this.view.refuse(error);
    } finally {
      this.reading = false;
      this.waiting = 0;
    }
    this.sayRefusals();
    this.changed();
  }

  private async readOne(): Promise<boolean> {
    const unread = this.groups.flatMap((group) => group.kept.filter((kept) => !this.features.has(kept)));
    this.jobs = this.jobs.filter(({ group }) => this.groups.includes(group));
    this.waiting = unread.length + this.jobs.length;
    const [kept] = unread;
    const job = kept ? undefined : this.jobs.shift();
    if (kept) {
      const { answer, trunk } = await this.trunk.ask(kept.picture);
      if (trunk === this.trunk.cut) this.features.set(kept, answer.logits);
    } else if (job) await this.readFile(job);
    return Boolean(kept ?? job);
  }

  private async readFile({ group, file }: Job): Promise<void> {
    this.read += 1;
    let picture: Picture;
    try {
      picture = await decode(file, Math.max(...this.trunk.size));
    } catch (error) {
      this.refusals.push({ file: file.name, error });
      return;
    }
    this.keep(group, await this.trunk.ask(picture));
  }

  /** Of all files that could not be read, one sentence. */
  private sayRefusals(): void {
    const [first] = this.refusals;
    if (first) {
      const values = { n: count(this.refusals.length), all: count(this.read), file: neutral(first.file) };
      this.view.tell(t("teach.leftOut", { ...values, reason: sentenceOf(first.error) }));
    }
    this.refusals = [];
    this.read = 0;
  }

  private trunkChanged(): void {
    const { size } = this.trunk;
    const pictures = this.groups.flatMap((group) => group.kept.map(({ picture }) => picture));
    const other = pictures.find((one) => one.height !== size[0] || one.width !== size[1]);
    if (other) {
      const values = { h: other.height, w: other.width, height: size[0], width: size[1] };
      this.view.tell(t("teach.resized", values));
    }
    this.features = new WeakMap();
    this.lesson = null;
    this.trying.begin();
    void this.readAll();
  }

  /** Training begins a while after the last change. */
  private changed(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.begin(), TRAIN_AFTER);
  }

  private begin(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    this.trained = this.train();
  }

  private async train(): Promise<void> {
    const turn = ++this.training;
    const groups = this.groups.filter((group) => group.kept.length);
    const all = groups.flatMap((group) => group.kept.map((kept) => this.features.get(kept)));
    if (this.reading || all.includes(undefined)) return; // the end of reading is a change, too
    if (groups.length < 2) {
      this.lesson = null;
      this.trying.answer();
      return;
    }
    const width = all[0]?.length ?? 0;
    const features = new Float32Array(all.length * width);
    all.forEach((one, row) => features.set(one ?? [], row * width));
    const labels = Int32Array.from(groups.flatMap((group, index) => group.kept.map(() => index)));
    try {
      const taught = await this.view.engine.teach(features, labels, groups.length);
      if (turn !== this.training) return;
      this.lesson = { taught, groups, answer: answering(taught) };
      this.trying.inner.chosen = null;
      this.trying.inner.minus = null;
      this.trying.answer();
      this.sayLesson(taught);
    } catch (error) {
      if (turn === this.training) this.view.refuse(error);
    }
  }

  private sayLesson({ estimate, milliseconds }: Taught): void {
    const trained = t("teach.trainedIn", { time: t("picture.milliseconds", { n: count(milliseconds) }) });
    const right = estimate && t("teach.said", { share: percent(estimate.right / estimate.n) });
    this.view.announce([trained, right].filter(Boolean).join(". "));
  }

  /** What was learnt of all pictures; null where there is none. */
  async settled(): Promise<Lesson | null> {
    if (this.timer) this.begin();
    await this.trained;
    return this.lesson;
  }

  /** Opens what was learnt in See, with the picture that was tried last. */
  async lookInside(offer: Offer): Promise<void> {
    this.trying.rest();
    if (this.trying.seen) this.opener.showPicture(this.trying.seen);
    if (await this.opener.openFirst([offer])) this.leave();
  }

  close(): void {
    this.trying.rest();
    this.trunk.close();
  }
}
