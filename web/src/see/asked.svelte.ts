/** What the engine is asked about the maps of the last run, again after every answer. */
import { untrack } from "svelte";
import type { View } from "../app/view.svelte";

interface Asking<T> {
  /** Names what is asked; null: nothing is. */
  key: () => string | null;
  ask: () => Promise<T>;
  /** Weights: a reply holds for every picture. */
  once?: boolean;
  /** The reply names itself what it is of, so it may stand until the next one is there. */
  stays?: boolean;
}

/**
 * The newest reply, or null. It is asked again when the key, the model or the answer changes. A reply to another key is
 * dropped; one to the same key is kept even when a newer answer is there, so that a camera never starves the view.
 */
export function asked<T>(view: View, asking: Asking<T>): { readonly value: T | null } {
  const { key, ask, once = false, stays = false } = asking;
  let value = $state.raw<T | null>(null);
  const named = $derived(key()); // as a value: maps drawn anew are no reason to ask again
  let held: { key: string; model: unknown } | null = null; // whose the value is or will be
  let sent = 0;
  let shown = 0;
  $effect(() => {
    void view.revision;
    const wanted = named;
    const model = view.model;
    const isHeld = held !== null && held.key === wanted && held.model === model;
    if (isHeld && once && untrack(() => value) !== null) return;
    if (wanted === null || held?.model !== model || (!isHeld && !stays)) value = null;
    const mine = isHeld ? held : wanted === null ? null : { key: wanted, model };
    held = mine;
    if (mine === null || !model || !untrack(() => view.answer)) return;
    const number = ++sent;
    const isWanted = () => number > shown && held === mine;
    untrack(ask).then(
      (reply) => {
        if (!isWanted()) return;
        shown = number;
        value = reply;
      },
      () => {
        // Refused: the place or map went with the last answer, and the next answer asks again.
        if (isWanted()) value = null;
      },
    );
  });
  return {
    get value() {
      return value;
    },
  };
}
