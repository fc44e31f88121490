/** Made by bundling/words.ts from words/en.json and words/ko.json. */
declare module "virtual:words" {
  export type Numbers = { readonly [key: string]: number | Numbers };
  /** The sentences, in the same order. */
  export const en: readonly string[];
  export const ko: readonly string[];
  /** By key the numbers of those that are asked for by name. */
  export const names: Numbers;
}
