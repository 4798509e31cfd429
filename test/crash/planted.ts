/** Leaks made on purpose, one of each kind, so that a search that finds nothing is known to look. */
import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cgroupTrees, instanceOf } from "../support/leaks.ts";
import type { EngineOnHost } from "./residue.ts";

export interface Planted extends AsyncDisposable {
  /** A part of the line by which each must be reported. */
  readonly lines: readonly string[];
}

export async function plantStrays({ dataRoot, execRoot }: EngineOnHost): Promise<Planted> {
  await using undo = new AsyncDisposableStack();
  const instance = instanceOf(dataRoot);
  const nobody = "0".repeat(64);
  const lines: string[] = [];

  const snapshot = join(dataRoot, "snapshots", nobody);
  mkdirSync(snapshot);
  undo.defer(() => rmSync(snapshot, { recursive: true }));
  lines.push(`directory entry ${snapshot}`);

  // Beneath what is known, so that it is the mount alone that is reported.
  const place = join(dataRoot, "content/blobs");
  run("mount", "-t", "tmpfs", "none", place);
  undo.defer(() => run("umount", place));
  lines.push(`mount ${place}`);

  const [tree = ""] = cgroupTrees();
  const cgroup = join(tree, `gantry-${instance}`, nobody);
  mkdirSync(cgroup, { recursive: true });
  undo.defer(() => rmdirSync(cgroup));
  lines.push(`cgroup ${cgroup}`);

  const link = `gv${instance.slice(0, 6)}0000000`;
  run("ip", "link", "add", link, "type", "bridge");
  undo.defer(() => run("ip", "link", "delete", link));
  lines.push(`link ${link}`);

  const bridge = "br-000000000000";
  run("ip", "link", "add", bridge, "type", "bridge");
  run("ip", "link", "set", bridge, "alias", `gantry-${instance} ${nobody}`);
  undo.defer(() => run("ip", "link", "delete", bridge));
  lines.push(`bridge ${bridge}`);

  const element = (set: string, key: string) => ["element", "inet", `gantry-${instance}`, set, `{ ${key} }`];
  run("nft", "add", ...element("bridges", bridge));
  undo.defer(() => run("nft", "delete", ...element("bridges", bridge)));
  lines.push(`nft element bridges ${bridge}`);
  run("nft", "add", ...element("published4any", "tcp . 1 : 192.0.2.1 . 1"));
  undo.defer(() => run("nft", "delete", ...element("published4any", "tcp . 1")));
  lines.push("nft element published4any tcp 1 192.0.2.1 1");

  const child = Bun.spawn(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 1000"], {
    cwd: execRoot,
    stdio: ["ignore", "pipe", "ignore"],
  });
  undo.defer(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  await child.stdout.getReader().read();
  lines.push(`process ${child.pid} sleep`, `held by process ${child.pid}`);

  const owned = undo.move();
  return { lines, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function run(...command: string[]): void {
  const { success, stderr } = Bun.spawnSync(command);
  if (!success) throw new Error(`${command.join(" ")}: ${stderr}`);
}
