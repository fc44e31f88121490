// Runs in the browser: every measurement in turn, round after round, beside a loop that is always the same.

const now = () => performance.now();

function loop() {
  const values = new Float32Array(4096).fill(1.0001);
  let sum = 0;
  for (let n = 0; n < 2 ** 23; n++) {
    sum = Math.fround(sum * 0.5 + values[n & 4095]);
  }
  return sum;
}

function picture([height, width]) {
  const data = new Uint8ClampedArray(4 * height * width);
  for (let n = 0; n < data.length; n++) {
    data[n] = n % 4 === 3 ? 255 : (n * 7919) % 251;
  }
  return { width, height, data };
}

async function bytesAt(path) {
  return new Uint8Array(await (await fetch(path)).arrayBuffer());
}

async function engineWork(files) {
  const { LocalEngine, Kernel, builds } = await import("./engine.js");
  const work = {};
  for (const [build, bytes] of builds()) {
    const engine = new LocalEngine(new Kernel(bytes));
    const model = engine.open(files);
    const ramp = new Uint8ClampedArray(1024).fill(128);
    const all = model.layers.map(({ index }) => ({ layer: index, columns: 16, ramp, order: "number", scale: "map" }));
    for (const side of [32, 64, 96, 128]) {
      const seen = picture([side, side]);
      const ask = (mosaics) => () => engine.run({ picture: { ...seen }, size: [side, side], mosaics }).probabilities;
      work[`engine, ${build}, ${side} x ${side}`] = ask([]);
      if (side === 32) {
        work[`engine, ${build}, all maps drawn`] = ask(all);
      }
    }
  }
  return work;
}

async function ortWork(input) {
  const ort = await import("./ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("./ort/", location.href).href;
  const session = await ort.InferenceSession.create("model.onnx");
  const { data, width, height } = picture([32, 32]);
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, n) => data[4 * Math.floor(n / 3) + (n % 3)]);
  const tensor = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
  return { "ONNX Runtime Web, 32 x 32": async () => (await session.run({ [input]: tensor })).probabilities.data };
}

export async function measure({ names, input, rounds }) {
  const files = new Map();
  for (const name of names) {
    files.set(name, await bytesAt(`model/${name}`));
  }
  const work = { loop, ...(await engineWork(files)), ...(input ? await ortWork(input) : {}) };
  const times = Object.fromEntries(Object.keys(work).map((name) => [name, []]));
  const answers = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(work)) {
      const start = now();
      const answer = await run();
      times[name].push(now() - start);
      answers[name] = name === "loop" ? [] : Array.from(answer);
    }
  }
  return { times, answers };
}
