/** The page's colours for what is drawn and not styled: canvases and saved pictures. The values are page.css's. */
import type { Theme } from "../app/view.svelte";

export interface Palette {
  paper: string;
  ink: string;
  muted: string;
  line: string;
  soft: string;
  accent: string;
  warm: string;
  good: string;
  /** A product that speaks for a unit, and one against it: the ends of the diverging scale, readable as text. */
  plus: string;
  minus: string;
}

export const PALETTES: Readonly<Record<Theme, Palette>> = {
  light: {
    paper: "#ffffff",
    ink: "#1b1f24",
    muted: "#59616b",
    line: "#dfe3e8",
    soft: "#f5f6f8",
    accent: "#1f5fa8",
    warm: "#b4480b",
    good: "#1a7340",
    plus: "#b2182b",
    minus: "#2166ac",
  },
  dark: {
    paper: "#14171b",
    ink: "#e8eaed",
    muted: "#a2abb6",
    line: "#30363d",
    soft: "#1d2126",
    accent: "#6fadf5",
    warm: "#f0924c",
    good: "#5cc489",
    plus: "#ff8d80",
    minus: "#7fb6f7",
  },
};
