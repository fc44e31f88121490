/** The page as one sheet that could stand in a paper: picture, river, answers, identity, one place. */
import { neutral } from "../app/names";
import { count, decimal, percent } from "../app/numbers";
import type { View } from "../app/view.svelte";
import { reader, t } from "../app/words.svelte";
import type { Answer, Layer, Model, Trail } from "../net/types";
import * as words from "./layers";
import { framed, LARGEST } from "./trail";
import { mapOf, meanOf, ranking } from "../see/classes";
import { largest } from "../net/largest";
import { blocksOf } from "./mosaic";
import { PALETTES, type Palette } from "./palette";
import type { Rasters } from "./rasters";
import { limitOf } from "./ramps";
import { cut, type Measure, Sheet } from "./sheet";

const WIDTH = 1440;
const MARGIN = 32;
const PICTURE = 240;
const ANSWERS = 250;
const GAP = 24;
const TOP = 64; // of everything under the head
const CARD_GAP = 12;
const CARDS = 6; // in a row: with more, maps would be too small to see
const ROWS = 10; // answers
const SMALL = 11;

export interface Figure {
  view: View;
  model: Model;
  answer: Answer;
  trail: Trail | null;
  rasters: Rasters;
  measure: Measure;
}

interface Drawing extends Figure {
  sheet: Sheet;
  palette: Palette;
}

function drawPicture(drawing: Drawing, y: number): void {
  const { sheet, view, answer, rasters, palette } = drawing;
  const map = mapOf(answer, view.shown ?? answer.top, view.minus);
  // One limit for all classes, as on the page.
  const limit = Math.max(limitOf(answer.classMaps), view.minus === null ? 0 : limitOf(map));
  const picture = rasters.picture(PICTURE, map, limit);
  sheet.image(MARGIN, y, picture, t("save.picture"));
  const name = view.title(view.shown ?? answer.top);
  const text =
    view.minus === null ? t("save.map", { name }) : t("save.minus", { name, other: view.title(view.minus) });
  const below = y + picture.height + 18;
  sheet.text(MARGIN, below, text, { size: SMALL, colour: palette.muted, room: PICTURE });
  sheet.text(MARGIN, below + 16, t("save.signs"), { size: SMALL, colour: palette.muted, room: PICTURE });
}

/** One card, `width` wide; returns where it ends. */
function drawCard(drawing: Drawing, layers: readonly Layer[], x: number, y: number, width: number): number {
  const { sheet, model, answer, rasters, palette } = drawing;
  const quiet = { size: SMALL, colour: palette.muted };
  const [height, across] = answer.size;
  const first = layers[0];
  const all = model.layers.filter((layer) => layer.block === first.block);
  const side = (width * height) / across;
  let down = y + 14;
  sheet.text(x, down, words.blockName(first.block), { bold: true, room: width });
  const last = layers[layers.length - 1];
  sheet.text(x, (down += 17), words.mapsText(last.channels, answer.sides[last.index]), { ...quiet, room: width });
  for (const layer of layers) {
    down += 19;
    sheet.text(x, down, words.cardLabel(layer), { ...quiet, room: width - 32 });
    sheet.text(x + width, down, count(layer.channels), { ...quiet, anchor: "end" });
    const painted = answer.painted.find((drawn) => drawn.layer === layer.index);
    if (painted) {
      sheet.image(x, down + 6, rasters.mosaic(painted, width, side), words.mosaicText(layer, painted));
    }
    down += 6 + side;
  }
  const total = (part: (layer: Layer) => number) => words.short(all.reduce((sum, layer) => sum + part(layer), 0));
  const lines = [
    t("river.weights", { n: total((layer) => layer.weights) }),
    t("river.macs", { n: total((layer) => answer.macs[layer.index]) }),
    t("river.sees", { n: all[all.length - 1].field }),
    words.poolText(all[all.length - 1]),
  ];
  for (const line of lines.filter(Boolean)) sheet.text(x, (down += 16), line, { ...quiet, room: width });
  return down;
}

function drawRiver(drawing: Drawing, y: number): void {
  const { sheet, model, palette } = drawing;
  const blocks = blocksOf(model);
  const left = MARGIN + PICTURE + GAP;
  const across = Math.min(CARDS, blocks.length);
  const room = WIDTH - MARGIN - ANSWERS - GAP - left;
  const width = Math.min(160, (room - (across - 1) * CARD_GAP) / across);
  let top = y;
  for (let start = 0; start < blocks.length; start += across) {
    const row = blocks.slice(start, start + across);
    const upper = top;
    const ends = row.map((layers, at) => drawCard(drawing, layers, left + at * (width + CARD_GAP), upper, width));
    top = Math.max(...ends) + GAP;
  }
  if (model.mirror) {
    sheet.text(left, top, t("river.straight"), { size: SMALL, colour: palette.muted, room });
  }
}

function drawAnswers(drawing: Drawing, y: number): void {
  const { sheet, view, answer, rasters, palette, measure } = drawing;
  const x = WIDTH - MARGIN - ANSWERS;
  const [h, w] = answer.mapSize;
  const order = ranking(answer.logits).slice(0, ROWS);
  const limit = limitOf(answer.classMaps);
  sheet.text(x, y + 14, t("save.answers"), { bold: true, room: ANSWERS });
  let down = y + 26;
  for (const index of order) {
    sheet.image(x, down, rasters.classMap(mapOf(answer, index, null), limit, 26), view.title(index));
    const line = down + 18;
    sheet.text(x + 36, line, view.title(index), { bold: index === view.shown, room: 78 });
    sheet.text(x + 162, line, decimal(answer.logits[index], 2), { anchor: "end" });
    sheet.rect(x + 170, line - 7, 34, 5, palette.soft, 2);
    sheet.rect(x + 170, line - 7, 34 * answer.probabilities[index], 5, palette.accent, 2);
    sheet.text(x + ANSWERS, line, percent(answer.probabilities[index]), { anchor: "end" });
    down += 32;
  }
  const shown = view.shown ?? answer.top;
  const line = (name: string) =>
    t("save.mean", { n: count(h * w), name, mean: decimal(meanOf(mapOf(answer, shown, null)), 4) });
  // A long name is cut, never the number behind it.
  const name = cut(view.title(shown), ANSWERS - measure(line(""), SMALL, false), SMALL, false, measure);
  sheet.text(x, down + 18, line(name), { size: SMALL, colour: palette.muted });
  const logit = t("save.logit", { logit: decimal(answer.logits[shown], 4) });
  sheet.text(x, down + 34, logit, { size: SMALL, colour: palette.muted });
}

/** The stages of one place beside each other; returns where the last ends. */
function drawStages(drawing: Drawing, trail: Trail, y: number): number {
  const { sheet, rasters, view, model, palette } = drawing;
  const caption = { size: SMALL, colour: palette.muted };
  const { place, sums } = trail;
  const seen = rasters.seen(120, place.field);
  sheet.image(MARGIN, y, seen, t("save.picture"));
  const field = { w: place.field.right - place.field.left, h: place.field.bottom - place.field.top };
  sheet.text(MARGIN, y + seen.height + 15, t("place.sees", field), { ...caption, room: 120 });
  const stages = place.values.map(({ layer, values }) => {
    const next = sums.find((sum) => sum.layer === layer + 1);
    const chosen = trail.chosen.layer === layer ? trail.chosen.unit : null;
    const name = words.stageName(view, model.layers[layer]);
    return { values, size: [1, 1, values.length] as const, framed: next ? framed(next, null) : [], chosen, name };
  });
  const size = place.patchSize;
  const patch = t("place.patch", { size: `${size[0]} × ${size[1]} × ${count(size[2])}` });
  const first = framed(sums[sums.length - 1], size);
  const columns = [{ values: place.patch, size, framed: first, chosen: null, name: patch }, ...stages];
  let x = MARGIN + 120;
  const width = Math.min(190, (WIDTH - 2 * MARGIN - 120 - 360 - 34 * columns.length) / columns.length);
  for (const { name, ...asked } of columns) {
    sheet.text(x + 17, y + 60, "\u2192", { anchor: "middle" });
    const grid = rasters.cells({ ...asked, width, height: 120 });
    sheet.image(x + 34, y, grid, name);
    sheet.text(x + 34, y + grid.height + 15, name, { ...caption, room: width });
    x += 34 + width;
  }
  return x;
}

function drawSum(drawing: Drawing, trail: Trail, x: number, y: number): void {
  const { sheet, view, model, palette } = drawing;
  const sum = trail.sums[0];
  const layer = model.layers[trail.chosen.layer];
  const name = words.unitName(view, layer, trail.chosen.unit);
  const five = largest(sum.products, LARGEST);
  const limit = limitOf(sum.products);
  const wide = sheet.text(x, y + 10, name, { bold: true, room: 130 });
  const all = count(sum.products.length);
  const most = t("place.largest", { n: five.length, all });
  sheet.text(x + wide + 8, y + 10, most, { size: SMALL, colour: palette.muted, room: 320 - wide });
  let down = y + 12;
  for (const index of five) {
    down += 19;
    const value = sum.products[index];
    const colour = value < 0 ? palette.minus : palette.plus;
    sheet.text(x, down, words.productName(model, layer, sum, index), { colour: palette.muted, room: 98 });
    sheet.text(x + 150, down, decimal(sum.values[index], 3), { anchor: "end" });
    sheet.text(x + 161, down, "×", { anchor: "middle", colour: palette.muted });
    sheet.text(x + 216, down, decimal(sum.weights[index], 3), { anchor: "end" });
    sheet.text(x + 230, down, "=", { anchor: "middle", colour: palette.muted });
    sheet.text(x + 296, down, words.signed(value, 3), { anchor: "end", bold: true, colour });
    sheet.rect(x + 304, down - 7, (50 * Math.abs(value)) / limit, 5, colour, 2);
  }
  const activation = words.activationName(layer);
  const end = activation ? ` \u2192 ${activation} \u2192 ${decimal(sum.after, 3)}` : "";
  const bias = `${t("place.bias")} ${decimal(sum.bias, 3)}`;
  const line = `${t("place.all", { n: all })} ${decimal(sum.sum, 3)} + ${bias} = ${decimal(sum.before, 3)}${end}`;
  sheet.text(x, down + 23, line, { size: 12, room: 360 });
}

/** Name and size of the model; on the right, that the answer is unknown where it is. */
function drawHead({ sheet, view, model, answer, palette }: Drawing, title: string): void {
  const wide = sheet.text(MARGIN, 44, title, { size: 18, bold: true, room: 500 });
  const about = t("save.about", { parameters: count(model.parameters), h: answer.size[0], w: answer.size[1] });
  sheet.text(MARGIN + wide + 12, 44, about, { colour: palette.muted });
  if (!answer.unknown) return;
  const nearest = { class: view.title(answer.top), share: percent(answer.probabilities[answer.top]) };
  const unknown = t(`answers.said.${answer.unknown}`, nearest);
  sheet.text(WIDTH - MARGIN, 44, unknown, { anchor: "end", colour: palette.warm, room: 600 });
}

/** One place, from what it sees to the sum of one unit. */
function drawPlace(drawing: Drawing, trail: Trail): void {
  const { sheet, model, palette } = drawing;
  const y = sheet.bottom + GAP;
  sheet.rect(MARGIN, y, WIDTH - 2 * MARGIN, 1, palette.line);
  const { block, y: row, x: column } = trail.place;
  const where = { block: words.blockName(block), row: count(row + 1), column: count(column + 1) };
  const wide = sheet.text(MARGIN, y + 26, t("place.title", where), { bold: true });
  if (model.mirror) sheet.text(MARGIN + wide + 12, y + 26, t("place.straight"), { colour: palette.muted });
  const end = drawStages(drawing, trail, y + 40);
  drawSum(drawing, trail, end + 24, y + 40);
}

/** The sheet as SVG. */
export function figure(parts: Figure): string {
  const { view, model, answer, trail } = parts;
  const palette = PALETTES[view.theme];
  const sheet = new Sheet(WIDTH, palette.ink, palette.paper, parts.measure);
  const drawing = { ...parts, sheet, palette };
  const title = neutral(view.entry?.id ?? model.name);
  drawHead(drawing, title);
  drawPicture(drawing, TOP);
  drawRiver(drawing, TOP);
  drawAnswers(drawing, TOP);
  if (trail) drawPlace(drawing, trail);
  return sheet.svg(`${title}: ${view.title(answer.top)}`, reader.language, MARGIN);
}
