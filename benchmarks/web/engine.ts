/** What benchmarks/web.py measures of the page's engine: both builds of its kernel, without the worker around them. */

export { LocalEngine } from "../../web/src/net/engine";
export { Kernel, builds } from "../../web/src/net/kernel";
