/** Made while the page is built, by bundling/claims.ts, from the words of `nin claims`. */
declare module "virtual:claims" {
  /** By number. `struck`: struck out in its source, shown as a hypothesis. */
  export const claims: Readonly<Record<number, { en: string; ko: string; struck: boolean }>>;
  /** What is said of a claim that is struck out. */
  export const struck: { en: string; ko: string };
}
