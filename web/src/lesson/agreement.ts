/** How far two computations agree, in the words of the claims: identical, or to so many decimals. */
import { t } from "../app/words.svelte";

/** How many decimals are the same where two numbers differ by this much: 15 for 4e-16, 0 for 1 and more. */
export function decimals(difference: number): number {
  return Math.max(0, Math.floor(-Math.log10(Math.abs(difference))));
}

export function agreement(difference: number): string {
  return difference === 0 ? t("lesson.identical") : t("lesson.decimals", { n: decimals(difference) });
}
