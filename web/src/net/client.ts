/** An engine in a worker of its own, which is built into the page. */

import { RemoteEngine } from "./remote";
import { type Engine, Refusal } from "./types";
import EngineWorker from "./worker?worker&inline";

export function connect(): Engine {
  const worker = new EngineWorker();
  const engine = new RemoteEngine(worker, () => worker.terminate());
  worker.onerror = () => engine.stop(new Refusal("stopped"));
  return engine;
}
