/** A busybox image from the host's own package: the binary, the libraries it is linked to, and its applets as links. */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./engines.ts";
import { pushImage } from "./image.ts";

export async function pushBusybox(
  registry: string,
  repository: string,
  workDirectory: string,
): Promise<void> {
  const root = join(workDirectory, "root");
  for (const directory of ["bin", "etc", "tmp", "root", "proc", "dev", "sys"])
    mkdirSync(join(root, directory), { recursive: true });
  cpSync("/bin/busybox", join(root, "bin/busybox"), { dereference: true });
  for (const applet of run(["/bin/busybox", "--list"])
    .split("\n")
    .filter((name) => name && name !== "busybox"))
    symlinkSync("busybox", join(root, "bin", applet));
  const linked = Bun.spawnSync(["ldd", "/bin/busybox"]).stdout.toString();
  for (const library of linked.match(/\/\S+/g) ?? []) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    cpSync(library, join(root, library), { dereference: true });
  }
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  writeFileSync(join(root, "etc/group"), "root:x:0:\n");
  const tar = Bun.spawnSync(["tar", "-C", root, "--owner=0", "--group=0", "--numeric-owner", "-c", "."], {
    maxBuffer: 1 << 28,
  }).stdout;
  await pushImage(registry, repository, [tar], { Cmd: ["sh"], Env: ["PATH=/bin"] });
}
