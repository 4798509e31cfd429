/**
 * A busybox root file system from the distro's package, `busybox` or `busybox-static`: the program, the libraries it
 * is linked with, a link for each applet, and the few files that programs expect in /etc.
 */
import { chmodSync, copyFileSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { interpreterOf } from "./elf.mjs";
import { findProgram, output } from "./host.mjs";

const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
gina:x:1000:1000:gina:/home/gina:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
`;

const group = `root:x:0:
daemon:x:1:
tty:x:5:
www-data:x:33:
staff:x:50:gina
users:x:100:gina
gina:x:1000:
nogroup:x:65534:
`;

/** Fills an empty directory. Users besides the usual ones: `gina` (1000, also in staff and users). */
export function makeBusyboxRoot(root) {
  const busybox = realpathSync(findProgram("busybox"));
  for (const directory of [
    "bin",
    "dev",
    "etc",
    "home/gina",
    "proc",
    "root",
    "sys",
    "tmp",
    "usr/bin",
    "usr/sbin",
    "var/www",
  ]) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  chmodSync(join(root, "tmp"), 0o1777);
  chmodSync(join(root, "root"), 0o700);
  install(busybox, join(root, "bin/busybox"));
  for (const library of librariesOf(busybox)) install(library, join(root, library));
  const applets = output(busybox, ["--list"]).trim().split("\n");
  for (const applet of applets.filter((name) => name !== "busybox"))
    symlinkSync("busybox", join(root, "bin", applet));
  writeFileSync(join(root, "etc/passwd"), passwd);
  writeFileSync(join(root, "etc/group"), group);
  writeFileSync(join(root, "etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n");
}

function install(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

/**
 * The shared libraries by the names under which the loader looks for them, the loader among them; none for a static
 * program.
 */
function librariesOf(program) {
  if (interpreterOf(program) === undefined) return [];
  return [...output("ldd", [program]).matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]);
}

/** A directory as a tar stream's bytes, the same for the same content. */
export function tarOf(root) {
  const args = [
    "--sort=name",
    "--mtime=@1700000000",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "-C",
    root,
    "-c",
    ".",
  ];
  return output("tar", args, { encoding: "buffer" });
}
