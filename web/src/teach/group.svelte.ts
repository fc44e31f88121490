/** A class that is taught, with its pictures. */
import type { Answer, Picture } from "../net/types";
import type { Taught } from "./taught";

/** A picture that is kept, at the size of the network that it was given to. */
export interface Kept {
  readonly id: number;
  readonly picture: Picture;
}

export class Group {
  name = $state("");
  kept = $state.raw<readonly Kept[]>([]);

  constructor(readonly id: number) {}
}

/** What was learnt, and of which classes, in this order. */
export interface Lesson {
  taught: Taught;
  groups: readonly Group[];
  /** What it makes of a trunk's answer. */
  answer: (seen: Answer) => Answer;
}
