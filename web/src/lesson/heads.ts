/** Chapter 6: what stands at the end of a network, and how many weights it takes. */

/** Maps that the last 1x1 layer of the author's CIFAR-10 network reads. Source: his definition file. */
export const FEATURES = 192;
/** Side of those maps for pictures of 32 pixels, and the classes of CIFAR-10. */
export const SIDE = 8;
export const CLASSES = 10;
/** Neurons of the hidden layer, as nin.network.anatomy has them: ours, smaller than the classic 4,096. */
export const HIDDEN = 1000;

export const HEADS = ["hidden", "flat", "mean"] as const;
export type Head = (typeof HEADS)[number];

/** Values that a fully connected head reads: every place of every map. */
export function flattened(side: number): number {
  return FEATURES * side * side;
}

/** Weights and biases of a head on FEATURES maps of that side. The mean itself has none; its 1x1 layer does. */
export function weightsOf(head: Head, side: number, classes: number): number {
  if (head === "mean") return (FEATURES + 1) * classes;
  if (head === "flat") return (flattened(side) + 1) * classes;
  return (flattened(side) + 1) * HIDDEN + (HIDDEN + 1) * classes;
}

/** A network as page.json counts it: all its parameters, and those in fully connected layers. */
export interface Counted {
  name: string;
  parameters: number;
  fc: number;
}

/** The author's CIFAR-10 network with another head: what comes before the head stays. */
export function withHead(author: Counted, head: Head, side: number, classes: number): Counted {
  const before = author.parameters - weightsOf("mean", SIDE, CLASSES);
  const own = weightsOf(head, side, classes);
  return { name: author.name, parameters: before + own, fc: head === "mean" ? 0 : own };
}

/** Side of a square whose area is the number of parameters, as a share of the side of the largest. */
export function squareSide(parameters: number, most: number): number {
  return Math.sqrt(parameters / most);
}

/** Share of the parameters that are in fully connected layers, 0..1. */
export function fcShare({ parameters, fc }: Counted): number {
  return fc / parameters;
}
