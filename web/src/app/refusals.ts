/** What went wrong as one sentence in the reader's language. */
import { Refusal } from "../net/types";
import { neutral } from "./names";
import { count } from "./numbers";
import { hasWords, t } from "./words.svelte";

/** The sentence of an error; one that nobody foresaw is named as it names itself. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Refusal)) {
    return t("refusal.unforeseen", { error: neutral(error instanceof Error ? error.message : String(error)) });
  }
  const key = `refusal.${error.code}`;
  if (!hasWords(key)) return t("refusal.unforeseen", { error: neutral(error.message) });
  const shown = Object.entries(error.values).map(([name, value]) => [
    name,
    typeof value === "number" ? count(value) : neutral(value),
  ]);
  return t(key, Object.fromEntries(shown) as Record<string, string>);
}
