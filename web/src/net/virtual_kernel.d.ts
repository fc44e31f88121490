/** Made while the page is built, by bundling/kernel.ts: both builds of kernel/network.ts in base64. */
declare module "virtual:kernel" {
  export const plain: string;
  export const relaxed: string;
}
