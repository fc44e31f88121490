/** A model and an engine small enough to follow by hand: two mlpconv layers, three classes. */
import type { Layer, Model, Place, Products } from "../../src/net/types";

function layer(index: number, block: number, depth: number, inputs: number, channels: number): Layer {
  const kernel = depth === 0 ? 3 : 1;
  return {
    index,
    block,
    depth,
    kernel,
    stride: 1,
    padding: kernel >> 1,
    groups: 1,
    inputs,
    channels,
    activation: index === 3 ? null : "relu",
    weights: kernel * kernel * inputs * channels + channels,
    pool: index === 1 ? { kind: "max", size: 3, stride: 2 } : null,
    field: block ? 9 : 3,
    jump: block ? 2 : 1,
  };
}

export function smallModel(): Model {
  return {
    name: "small <one>",
    classes: ["cat", "<script>&\"dog\"", "a name that is very long and goes on and on without an end to be seen"],
    size: [4, 4],
    channels: 3,
    fit: "stretch",
    normalisation: "standard",
    fixed: false,
    least: 4,
    mirror: true,
    layers: [layer(0, 0, 0, 3, 4), layer(1, 0, 1, 4, 5), layer(2, 1, 0, 5, 4), layer(3, 1, 1, 4, 3)],
    parameters: 400,
    unknownBelow: null,
    unknownBeyond: null,
    accuracy: null,
    licence: null,
    data: null,
  };
}

/** Weight of one input at one place of the patch: any rule that tells layers, units and inputs apart. */
function weightOf(layer: number, unit: number, index: number): number {
  return Math.sin(1 + 7 * layer + 3 * unit + 1.7 * index);
}

/** A network whose maps are the same at every place; what it says of a sum is what the sum is. */
export function smallNetwork(model: Model): {
  place(block: number, y: number, x: number): Place;
  products(layer: number, unit: number): Products;
} {
  const values = new Map<number, Float32Array>();
  const read = (layer: Layer): Float32Array => {
    if (layer.depth > 0) return valuesOf(model.layers[layer.index - 1]);
    return Float32Array.from({ length: 9 * layer.inputs }, (_, at) => Math.cos(1 + layer.block + at));
  };
  const sum = (layer: Layer, unit: number): Products => {
    const inputs = read(layer);
    const weights = inputs.map((_, at) => weightOf(layer.index, unit, at));
    const products = inputs.map((value, at) => value * weights[at]);
    const whole = products.reduce((total, product) => total + product, 0);
    const bias = 0.25;
    return {
      layer: layer.index,
      unit,
      inputs: Int32Array.from(inputs, (_, at) => at % layer.inputs),
      rows: Int32Array.from(inputs, (_, at) => Math.floor(at / layer.inputs / layer.kernel)),
      columns: Int32Array.from(inputs, (_, at) => Math.floor(at / layer.inputs) % layer.kernel),
      values: inputs,
      weights,
      products,
      sum: whole,
      bias,
      before: whole + bias,
      after: layer.activation ? Math.max(0, whole + bias) : whole + bias,
    };
  };
  const valuesOf = (layer: Layer): Float32Array => {
    const known = values.get(layer.index);
    if (known) return known;
    const made = Float32Array.from({ length: layer.channels }, (_, unit) => sum(layer, unit).after);
    values.set(layer.index, made);
    return made;
  };
  const place = (block: number, y: number, x: number): Place => {
    const layers = model.layers.filter((layer) => layer.block === block);
    return {
      block,
      y,
      x,
      field: { top: -1, left: -1, bottom: 2, right: 2 },
      patch: read(layers[0]),
      patchSize: [3, 3, layers[0].inputs],
      values: layers.map((layer) => ({ layer: layer.index, values: valuesOf(layer) })),
    };
  };
  return { place, products: (layer, unit) => sum(model.layers[layer], unit) };
}
