/** The chapters of the lesson in order: the words and claims of each, and what one touches in it. */
import type { Component } from "svelte";
import Builder from "./Builder.svelte";
import ClassBoard from "./ClassBoard.svelte";
import Connected from "./Connected.svelte";
import Heads from "./Heads.svelte";
import Linear from "./Linear.svelte";
import Pixel from "./Pixel.svelte";
import Reduction from "./Reduction.svelte";
import Sliding from "./Sliding.svelte";

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
    number: 2,
    title: "lesson.2.title",
    sentence: "lesson.2.sentence",
    claims: [3, 6],
    usesModel: true,
    view: Sliding,
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
    number: 4,
    title: "lesson.4.title",
    sentence: "lesson.4.sentence",
    claims: [2, 5, 14, 15, 16, 17, 25],
    usesModel: true,
    view: Reduction,
  },
  {
    number: 5,
    title: "lesson.5.title",
    sentence: "lesson.5.sentence",
    claims: [20, 21],
    usesModel: false,
    view: Connected,
  },
  {
    number: 6,
    title: "lesson.6.title",
    sentence: "lesson.6.sentence",
    claims: [7, 9, 10, 11, 12, 13],
    usesModel: false,
    view: Heads,
  },
  {
    number: 7,
    title: "lesson.7.title",
    sentence: "lesson.7.sentence",
    claims: [8, 26],
    usesModel: true,
    view: ClassBoard,
  },
  {
    number: 8,
    title: "lesson.8.title",
    sentence: "lesson.8.sentence",
    claims: [10, 16],
    usesModel: true,
    view: Builder,
  },
];

/** The chapter of this number; the first for one that there is not. */
export function chapterOf(number: number): Chapter {
  const found = CHAPTERS.find((chapter) => chapter.number === number) ?? CHAPTERS[0];
  if (!found) throw new Error("the lesson has no chapter");
  return found;
}
