/** Helper processes of the engine, by name. Each is loaded alone; bulk bytes and hostile paths are theirs. */
const helpers: Readonly<Record<string, () => Promise<{ main(args: readonly string[]): Promise<void> }>>> = {
  "unpack-layer": () => import("../drivers/snapshot-overlay/unpack/helper.ts"),
  "diff-layer": () => import("../drivers/snapshot-overlay/diff/helper.ts"),
  compress: () => import("../drivers/snapshot-overlay/diff/compress.ts"),
  "relay-ports": () => import("../drivers/network-bridge/relay/helper.ts"),
  "build-files": () => import("../drivers/build-files/worker.ts"),
  "fill-tree": () => import("../drivers/build-files/fill.ts"),
  "container-files": () => import("../drivers/container-files/helper.ts"),
  "read-archive": () => import("../drivers/image-archives/helper.ts"),
  decompress: () => import("../drivers/snapshot-overlay/unpack/decompress.ts"),
};

export async function main([name = "", ...args]: readonly string[]): Promise<void> {
  const load = helpers[name];
  if (!load) throw new Error(`unknown helper ${JSON.stringify(name)}`);
  await (await load()).main(args);
}
