/** Theme and language: what the system and the browser say, until the reader chooses. */
import { remember, remembered } from "./memory";
import type { Theme, View } from "./view.svelte";
import { isLanguage, type Language } from "./words.svelte";

export const THEMES = ["system", "light", "dark"] as const;
export type ThemeChoice = (typeof THEMES)[number];

export class Appearance {
  choice = $state<ThemeChoice>("system");
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");

  constructor(private readonly view: View) {
    const kept = THEMES.find((theme) => theme === remembered("theme"));
    if (kept) this.choice = kept;
    this.show();
    this.dark.addEventListener("change", () => this.show());
  }

  /** System, then light, then dark, then the system again. */
  next(): void {
    this.choice = THEMES[(THEMES.indexOf(this.choice) + 1) % THEMES.length] ?? "system";
    remember("theme", this.choice);
    this.show();
  }

  private show(): void {
    const system: Theme = this.dark.matches ? "dark" : "light";
    this.view.theme = this.choice === "system" ? system : this.choice;
    document.documentElement.dataset["theme"] = this.view.theme;
  }

  /** Language of an address, else the one chosen before, else the page's own, else the browser's. */
  begin(address: Language | null, page: Language | null): void {
    const kept = remembered("language");
    const browser = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find(isLanguage);
    this.speak(address ?? (isLanguage(kept) ? kept : null) ?? page ?? browser ?? "en");
  }

  choose(language: Language): void {
    remember("language", language);
    this.speak(language);
  }

  private speak(language: Language): void {
    this.view.language = language;
    document.documentElement.lang = language;
  }
}
