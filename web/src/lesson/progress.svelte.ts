/** Which chapters the reader has touched, from visit to visit. */
import { remember, remembered } from "../app/memory";

export class Progress {
  private done = $state.raw<ReadonlySet<number>>(new Set(remembered("touched")?.match(/\d+/g)?.map(Number)));

  has(chapter: number): boolean {
    return this.done.has(chapter);
  }

  touch(chapter: number): void {
    if (this.has(chapter)) return;
    this.done = new Set([...this.done, chapter].sort((a, b) => a - b));
    remember("touched", [...this.done].join(","));
  }
}
