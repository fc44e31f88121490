/** Names of classes, models and files come from other people: they are shown as text that moves nothing. */

// Control and format characters (the direction marks are among these), lone surrogates, private use, unassigned ones
// and separators other than the plain space. The joiners of Persian, Indic scripts and emoji stay.
const MOVING = /(?![\u200c\u200d ])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Z}]/gu;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const LONGEST = 200; // characters

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return SHORT[character] ?? `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** The name on one line with every direction mark and control character written out, as Python's `escape_name` does. */
export function neutral(name: string): string {
  const characters = [...name.replace(MOVING, escaped)];
  return characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join("")}\u2026` : characters.join("");
}
