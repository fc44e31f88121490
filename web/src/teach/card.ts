/** README.md of a taught model, in the reader's language: what nin.bundle.card's `model_card` says of a trained one. */

import { neutral } from "../app/names";
import { type Language, sentence } from "../app/sentences";
import { type Told, licenceOf } from "./folder_of";
import type { Measured } from "./measured";

const FEW = 200; // rows of a table

/** Text that Markdown and HTML show as it is. */
const plain = (text: unknown): string => neutral(String(text)).replace(/([\\`*_[\]<>|&~])/g, "\\$1");

const percent = (share: number): string => (100 * share).toFixed(1);

function table(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows.slice(0, FEW).map((row) => row.map(plain))];
  return lines.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

/** Nested tables as ["trunk.model", "nin-cifar10"] pairs. */
function flat(values: object, before = ""): [string, string][] {
  return Object.entries(values).flatMap(([name, value]: [string, unknown]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? flat(value, `${before}${name}.`)
      : [[before + name, Array.isArray(value) ? value.join(", ") : String(value)] as [string, string]],
  );
}

/** `measured`: null where a class has too few pictures. `cut`: of the trunk called `trunk`. */
export function cardOf(
  told: Omit<Told, "card">,
  measured: Measured | null,
  trunk: { id: string; cut: number },
  language: Language,
): string {
  const say = (key: string, values: Readonly<Record<string, string | number>> = {}): string =>
    sentence(key, language, values);
  const { classes, network, preprocess, calibration, provenance } = told;
  const [height, width] = preprocess.size as [number, number];
  const fit = say(`readme.fit.${String(preprocess.fit)}`);
  const colours = say(`readme.colours.${String(preprocess.channels)}`);
  const count = classes.length;
  return `---
library_name: network-in-network
license: ${JSON.stringify(licenceOf(provenance))}
pipeline_tag: image-classification
tags:
- image-classification
- network-in-network
- class-activation-map
metrics:
- accuracy
---

# ${say("readme.title", { name: plain(network.name), n: count })}

${say("readme.what", { n: count })}
${classes.map(plain).join(", ")}.

${say("readme.how", { cut: trunk.cut, trunk: plain(trunk.id) })}

## ${say("readme.quality")}

${measured === null ? say("readme.unmeasured") : quality(measured, say)}

## ${say("readme.data")}

${table([say("readme.key"), say("readme.value")], flat(provenance))}

## ${say("readme.expects")}

${say("readme.pictures", { fit, colours, height, width })}

## ${say("readme.use")}

\`\`\`
pip install network-in-network
nin predict path/to/this/folder picture.jpg
\`\`\`

${trust(calibration, say)}

## ${say("readme.limits")}

${say("readme.only")}
`;
}

type Say = (key: string, values?: Readonly<Record<string, string | number>>) => string;

function quality({ accuracy, interval, n, guessing, per_class: scores }: Measured, say: Say): string {
  const [low, high] = interval.map(percent);
  const told = say("readme.accuracy", { share: percent(accuracy), low, high, n, guessing: percent(guessing) });
  const rows = scores.map(({ label, support, precision, recall }) => [
    label,
    support,
    `${percent(precision)} %`,
    `${percent(recall)} %`,
  ]);
  const head = ["class", "support", "precision", "recall"].map((name) => say(`readme.scores.${name}`));
  return `${told}\n\n${table(head, rows)}`;
}

/** How probabilities are made, and when the answer is "unknown". */
function trust(calibration: Told["calibration"], say: Say): string {
  const below = Number(calibration.unknown_below);
  const beyond = calibration.unknown_beyond;
  return [
    say("readme.softmax", { t: Number(calibration.temperature).toPrecision(4) }),
    ...(below > 0 ? [say("readme.unsure", { p: below.toPrecision(2) })] : []),
    ...(typeof beyond === "number" ? [say("readme.unlike", { d: beyond.toPrecision(3) })] : []),
  ].join(" ");
}
