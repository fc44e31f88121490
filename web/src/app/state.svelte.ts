/** The state of the page in its address: read when it is opened, written after every change. */
import { writeAddress, type Address } from "./address";
import type { Opener } from "./opener.svelte";
import type { Place, View } from "./view.svelte";

const WRITE_AFTER = 300; // milliseconds: browsers refuse more than some 7 changes of an address a second

/** What the address would say now. */
function now(view: View, opener: Opener): Address {
  const { model, chosen, minus } = view;
  const layer = view.layer === null ? undefined : model?.layers[view.layer];
  const { cover, size } = view.asked;
  return {
    place: view.place,
    model: opener.offer?.entry.id ?? null,
    example: opener.origin === "example" && opener.example !== null ? opener.example + 1 : null,
    class: chosen === null ? null : (model?.classes[chosen] ?? null),
    minus: minus === null ? null : (model?.classes[minus] ?? null),
    layer: layer ? { block: layer.block, depth: layer.depth } : null,
    unit: layer ? view.unit : null,
    at: view.at === view.begun ? null : view.at,
    cover,
    size: size && Math.max(...size),
    language: view.language,
  };
}

export interface Kept {
  write: (another: boolean) => void;
  /** The address of what is shown in another place. */
  of: (place: Place) => string;
}

/** Keeps the address what the page shows. To be called while the page's main component is set up. */
export function keepAddress(view: View, opener: Opener): Kept {
  /** `another`: the Back button leads to what was shown before. */
  function write(another: boolean): void {
    if (!opener.offer) return;
    const address = writeAddress(now(view, opener));
    if (address === location.hash) return;
    try {
      if (another) history.pushState(null, "", address);
      else history.replaceState(null, "", address);
    } catch {
      // a page inside another one may not change its address
    }
  }
  $effect(() => {
    now(view, opener);
    const timer = setTimeout(() => write(false), WRITE_AFTER);
    return () => clearTimeout(timer);
  });
  return { write, of: (place) => writeAddress({ ...now(view, opener), place }) };
}
