/** Two choices that are remembered from visit to visit, where the browser allows it. */

type Choice = "language" | "theme";

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
