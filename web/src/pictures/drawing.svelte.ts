/** A drawing: what a pen left on a sheet, white on black where the network knows one channel only. */
import type { Picture } from "../net/types";

const SIDE = 256; // pixels of the sheet's longer side
const COLOURS = ["#1b1f24", "#ffffff", "#b2182b", "#e0a12b", "#1a7340", "#2166ac", "#8a5a33"] as const;

type Place = { y: number; x: number };

export class Drawing {
  /** Width of the pen, in hundredths of the sheet. */
  pen = $state(8);
  colour = $state<string>(COLOURS[0]);
  readonly colours: readonly string[];
  private readonly canvas = document.createElement("canvas");
  private readonly context: CanvasRenderingContext2D | null;
  private readonly paper: string;
  private last: Place | null = null;

  /** `size`: (H, W) of the network's picture, whose shape the sheet has. */
  constructor(
    private readonly size: readonly [number, number],
    private readonly channels: number,
    private readonly changed: (picture: Picture) => void,
  ) {
    const scale = SIDE / Math.max(...size);
    this.canvas.height = Math.max(1, Math.round(size[0] * scale));
    this.canvas.width = Math.max(1, Math.round(size[1] * scale));
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.paper = channels === 1 ? "#000000" : "#ffffff";
    this.colours = channels === 1 ? ["#ffffff"] : COLOURS;
    this.colour = this.colours[0] ?? "#ffffff";
    this.clear();
  }

  /** Whether it is a sheet for pictures of this size (H, W) and these channels, too. */
  fits(size: readonly [number, number], channels: number): boolean {
    return channels === this.channels && size[0] * this.size[1] === size[1] * this.size[0];
  }

  clear(): void {
    const { context, canvas } = this;
    if (!context) return;
    context.fillStyle = this.paper;
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.show();
  }

  begin(at: Place): void {
    this.last = at;
    this.draw(at);
  }

  /** A stroke from the place before to this one, both in shares of the sheet. */
  draw(to: Place): void {
    const { context, canvas } = this;
    const from = this.last ?? to;
    if (!context) return;
    context.strokeStyle = this.colour;
    context.lineWidth = (this.pen / 100) * Math.max(canvas.width, canvas.height);
    context.lineCap = "round";
    context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from.x * canvas.width, from.y * canvas.height);
    context.lineTo(to.x * canvas.width, to.y * canvas.height);
    context.stroke();
    this.last = to;
    this.show();
  }

  private show(): void {
    const { context, canvas } = this;
    const data = context?.getImageData(0, 0, canvas.width, canvas.height).data;
    if (data) this.changed({ width: canvas.width, height: canvas.height, data });
  }
}
