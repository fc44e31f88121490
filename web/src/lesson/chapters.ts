/** The chapters of the lesson in order: the words and claims of each, and what one touches in it. */
import type { Component } from "svelte";
import Connected from "./Connected.svelte";
import Linear from "./Linear.svelte";
import Pixel from "./Pixel.svelte";

export interface Chapter {
  number: number;
  /** Keys of its words. */
  title: string;
  sentence: string;
  /** The claims that it shows, by the numbers of `nin claims`. */
  claims: readonly number[];
  /** Whether it computes with the model and the picture that are open. */
  usesModel: boolean;
  view: Component;
}

export const CHAPTERS: readonly Chapter[] = [
  {
    number: 1,
    title: "lesson.1.title",
    sentence: "lesson.1.sentence",
    claims: [1, 4, 24],
    usesModel: false,
    view: Linear,
  },
  {
    number: 3,
    title: "lesson.3.title",
    sentence: "lesson.3.sentence",
    claims: [18, 19, 22, 23],
    usesModel: false,
    view: Pixel,
  },
  {
    number: 5,
    title: "lesson.5.title",
    sentence: "lesson.5.sentence",
    claims: [20, 21],
    usesModel: false,
    view: Connected,
  },
];

/** The chapter of this number; the first for one that there is not. */
export function chapterOf(number: number): Chapter {
  const found = CHAPTERS.find((chapter) => chapter.number === number) ?? CHAPTERS[0];
  if (!found) throw new Error("the lesson has no chapter");
  return found;
}
