/** What is remembered from visit to visit, where the browser allows it. */

/** `touched`: the numbers of the chapters that the reader has tried. */
type Choice = "language" | "theme" | "touched";

const PREFIX = "nin.explorer.";

/** null where nothing is remembered or storage is refused: the choice then lasts for the visit. */
export function remembered(choice: Choice): string | null {
  try {
    return localStorage.getItem(PREFIX + choice);
  } catch {
    return null;
  }
}

export function remember(choice: Choice, value: string): void {
  try {
    localStorage.setItem(PREFIX + choice, value);
  } catch {
    // refused, or full: the page works without
  }
}
