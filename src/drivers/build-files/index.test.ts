import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import type { ContentSelector, FileAction, TreeEntry } from "../../core/build-files.ts";
import { HelperBuildFiles } from "./index.ts";

const files = new HelperBuildFiles();
const { signal } = new AbortController();
let base: string;
let from: string;
let to: string;

beforeEach(() => {
  base = mkdtempSync("/tmp/build-files-test-");
  from = join(base, "from");
  to = join(base, "to");
  for (const path of [from, to]) mkdirSync(path);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));
afterAll(() => files[Symbol.dispose]());

type Copy = Extract<FileAction, { kind: "copy" }>;

async function copy(src: string, dest: string, change: Partial<Copy> = {}): Promise<void> {
  await files.apply({
    root: to,
    signal,
    actions: [
      {
        kind: "copy",
        source: from,
        src,
        dest,
        followLinks: true,
        directoryContents: true,
        unpackArchives: false,
        createDestination: true,
        wildcards: true,
        allowNoMatch: true,
        include: [],
        exclude: [],
        replaceExisting: false,
        required: [],
        ...change,
      },
    ],
  });
}

/** Every path below a directory, with what it is. */
function tree(root: string, path = ""): string[] {
  return readdirSync(join(root, path))
    .sort()
    .flatMap((name) => {
      const child = path === "" ? name : `${path}/${name}`;
      const at = join(root, child);
      const stats = lstatSync(at);
      if (stats.isDirectory()) return [`${child}/`, ...tree(root, child)];
      return stats.isSymbolicLink() ? [`${child} -> ${readlinkSync(at)}`] : [`${child}: ${readFileSync(at)}`];
    });
}

function write(path: string, text = path, mode = 0o644): void {
  const at = join(from, path);
  mkdirSync(join(at, ".."), { recursive: true });
  writeFileSync(at, text);
  chmodSync(at, mode);
}

describe("copying", () => {
  test("a file to a name, into a directory, and into one that is made for it", async () => {
    write("a");
    await copy("a", "/name");
    await copy("/a", "/new/dir/");
    await copy("a", "/new/dir");
    expect(tree(to)).toEqual(["name: a", "new/", "new/dir/", "new/dir/a: a"]);
    expect(statSync(join(to, "new")).mode & 0o7777).toBe(0o755);
  });

  test("a directory gives its contents, with modes, times and links", async () => {
    write("app/sub/x", "x", 0o4711);
    symlinkSync("../outside", join(from, "app/link"));
    linkSync(join(from, "app/sub/x"), join(from, "app/same"));
    utimesSync(join(from, "app/sub"), 1e9, 1e9);
    await copy("app", "/srv");
    expect(tree(to)).toEqual(["srv/", "srv/link -> ../outside", "srv/same: x", "srv/sub/", "srv/sub/x: x"]);
    expect(statSync(join(to, "srv/sub/x")).mode & 0o7777).toBe(0o4711);
    expect(statSync(join(to, "srv/sub")).mtimeMs).toBe(1e12);
    expect(statSync(join(to, "srv/same")).ino).toBe(statSync(join(to, "srv/sub/x")).ino);
  });

  test("keeps the topmost directory as it is, and gives those in it the source's mode", async () => {
    write("app/sub/x");
    chmodSync(join(from, "app/sub"), 0o700);
    mkdirSync(join(to, "srv/sub"), { recursive: true });
    chmodSync(join(to, "srv"), 0o711);
    await copy("app", "/srv");
    expect(statSync(join(to, "srv")).mode & 0o777).toBe(0o711);
    expect(statSync(join(to, "srv/sub")).mode & 0o777).toBe(0o700);
  });

  test("takes what a wildcard matches; nothing is fine, a plain name that is not there is not", async () => {
    for (const name of ["a.txt", "b.txt", "c.md", "d/e.txt"]) write(name);
    await copy("*.txt", "/t/");
    await copy("*.none", "/t/");
    expect(tree(to)).toEqual(["t/", "t/a.txt: a.txt", "t/b.txt: b.txt"]);
    await expect(copy("nothing", "/t/")).rejects.toThrow('"/nothing": not found');
  });

  test("leaves out what is excluded, and makes directories only for what an include pattern finds", async () => {
    for (const name of ["a/x.go", "a/y.md", "b/z.md", "c/keep.md"]) write(name);
    await copy("/", "/go", { include: ["**/*.go"] });
    await copy("/", "/rest", { exclude: ["**/*.md", "!c/keep.md"] });
    expect(tree(to)).toEqual([
      ...["go/", "go/a/", "go/a/x.go: a/x.go", "rest/", "rest/a/", "rest/a/x.go: a/x.go"],
      ...["rest/b/", "rest/c/", "rest/c/keep.md: c/keep.md"],
    ]);
  });

  test("sets owners by number and by the tree's own names, and modes in both forms", async () => {
    write("a", "a", 0o640);
    mkdirSync(join(to, "etc"));
    writeFileSync(join(to, "etc/passwd"), "web:x:33:34::/:/bin/sh\n");
    writeFileSync(join(to, "etc/group"), "adm:x:4:\n");
    await copy("a", "/n", { owner: { user: { id: 7 } } });
    await copy("a", "/u", { owner: { user: { name: "web", root: to } } });
    await copy("a", "/g", {
      owner: { user: { name: "web", root: to }, group: { name: "adm", root: to } },
      modeText: "u+x,g=,o+r",
    });
    await copy("a", "/m", { mode: 0o1777 });
    const owners = ["n", "u", "g"].map((name) => {
      const { uid, gid } = statSync(join(to, name));
      return `${uid}:${gid}`;
    });
    expect(owners).toEqual(["7:7", "33:34", "33:4"]);
    expect(statSync(join(to, "g")).mode & 0o7777).toBe(0o704);
    expect(statSync(join(to, "m")).mode & 0o7777).toBe(0o1777);
    await expect(copy("a", "/x", { owner: { user: { name: "nobody", root: to } } })).rejects.toThrow(
      "no such user",
    );
  });

  test("never puts a file in a directory's place, nor the reverse", async () => {
    write("file");
    write("dir/x");
    mkdirSync(join(to, "there/file"), { recursive: true });
    await expect(copy("file", "/there/")).rejects.toThrow("cannot replace to directory");
    writeFileSync(join(to, "plain"), "");
    await expect(copy("dir", "/plain")).rejects.toThrow("cannot copy to non-directory");
  });

  test("unpacks archives, compressed or not, into the directory", async () => {
    write("in/x", "x");
    await $`tar -C ${from}/in -cf ${from}/plain.tar x && gzip -k ${from}/plain.tar && xz -k ${from}/plain.tar && bzip2 -k ${from}/plain.tar`.quiet();
    writeFileSync(join(from, "not.tar.gz"), "text");
    for (const name of ["plain.tar", "plain.tar.gz", "plain.tar.xz", "plain.tar.bz2", "not.tar.gz"]) {
      await copy(name, `/${name}.d/`, { unpackArchives: true });
    }
    expect(tree(to)).toEqual([
      ...["not.tar.gz.d/", "not.tar.gz.d/not.tar.gz: text", "plain.tar.bz2.d/", "plain.tar.bz2.d/x: x"],
      ...["plain.tar.d/", "plain.tar.d/x: x", "plain.tar.gz.d/", "plain.tar.gz.d/x: x"],
      ...["plain.tar.xz.d/", "plain.tar.xz.d/x: x"],
    ]);
  });
});

describe("S08: links in trees", () => {
  test("lead nowhere outside, neither from the source nor in the target", async () => {
    writeFileSync(join(base, "secret"), "secret");
    symlinkSync(join(base, "secret"), join(from, "absolute"));
    symlinkSync("../../../../../../../../etc", join(from, "up"));
    await expect(copy("absolute", "/x")).rejects.toThrow("not found");
    await expect(copy("up/hostname", "/x")).rejects.toThrow("not found");
    await expect(copy("../secret", "/x")).rejects.toThrow("not found");
    write("a");
    symlinkSync(base, join(to, "out"));
    await copy("a", "/out/escaped");
    expect(existsSync(join(base, "escaped"))).toBe(false);
    expect(readFileSync(join(to, base, "escaped"), "utf8")).toBe("a");
  });

  test("are followed inside, as /var/run to /run", async () => {
    write("a");
    mkdirSync(join(to, "run"));
    symlinkSync("/run", join(to, "var-run"));
    await copy("a", "/var-run/deep/");
    expect(existsSync(join(to, "run/deep/a"))).toBe(true);
  });

  test("rm .. and rm of a link to elsewhere remove nothing else", async () => {
    writeFileSync(join(base, "kept"), "");
    symlinkSync(base, join(to, "link"));
    const rm = (path: string, wildcards = false) =>
      files.apply({ root: to, signal, actions: [{ kind: "rm", path, allowNotFound: false, wildcards }] });
    for (const path of ["..", "/", "x/../..", "/.."]) await expect(rm(path)).rejects.toThrow("invalid path");
    await rm("/link");
    await expect(rm("/../kept")).rejects.toThrow("not found");
    expect(existsSync(join(base, "kept"))).toBe(true);
    expect(tree(to)).toEqual([]);
  });
});

test("directories, files and links are made as asked for", async () => {
  const time = "1000000000000000000";
  await files.apply({
    root: to,
    signal,
    actions: [
      {
        kind: "mkdir",
        path: "/a/b",
        mode: 0o750,
        parents: true,
        owner: { user: { id: 1 }, group: { id: 2 } },
        time,
      },
      { kind: "mkfile", path: "/a/b/f", mode: 0o600, data: Buffer.from("text").toString("base64"), time },
      { kind: "symlink", target: "b/f", path: "/a/l" },
      { kind: "rm", path: "/none", allowNotFound: true, wildcards: false },
    ],
  });
  expect(tree(to)).toEqual(["a/", "a/b/", "a/b/f: text", "a/l -> b/f"]);
  const { uid, gid, mode } = statSync(join(to, "a"));
  expect([uid, gid, mode & 0o777]).toEqual([1, 2, 0o750]);
  expect(statSync(join(to, "a/b/f")).mtimeMs).toBe(1e12);
});

function digest(path: string, change: Partial<ContentSelector> = {}, root = from): Promise<string> {
  const selector = { followLinks: true, wildcards: false, include: [], exclude: [], required: [], ...change };
  return files.digest({ root, signal, selectors: [{ path, ...selector }] });
}

describe("the digest of content", () => {
  test("knows names, modes, links and bytes, and no times", async () => {
    for (const name of ["a/x", "a/y"]) write(name);
    const before = await digest("/a");
    utimesSync(join(from, "a/x"), 1, 1);
    expect(await digest("a")).toBe(before);
    expect(await digest("/")).not.toBe(before);
    for (const change of [
      () => write("a/x", "other"),
      () => chmodSync(join(from, "a/x"), 0o600),
      () => symlinkSync("x", join(from, "a/l")),
      () => rmSync(join(from, "a/y")),
    ]) {
      const last = await digest("/a");
      change();
      expect(await digest("/a")).not.toBe(last);
    }
  });

  test("of a selection is of what is selected", async () => {
    for (const name of ["a.txt", "b.txt", "c.md"]) write(name);
    const text = await digest("*.txt", { wildcards: true });
    const notMarkdown = await digest("/", { exclude: ["*.md"] });
    write("c.md", "changed");
    expect(await digest("*.txt", { wildcards: true })).toBe(text);
    expect(await digest("/", { exclude: ["*.md"] })).toBe(notMarkdown);
    await expect(digest("none")).rejects.toThrow('"/none": not found');
    expect(await digest("*.none", { wildcards: true })).toBeString();
  });
});

async function bytesOf(command: $.ShellPromise): Promise<Uint8Array> {
  return new Uint8Array(await command.arrayBuffer());
}

async function* chunked(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
}

describe("an archive as a tree", () => {
  test.each(["", "z", "j", "J"])(
    "is unpacked (tar %p), and has the digest of the same files",
    async (flag) => {
      for (const name of ["a/x", "a/y", "z"]) write(name, name.repeat(1000));
      const bytes = await bytesOf($`tar -C ${from} -c${flag}f - .`);
      const filled = await files.unpack({ root: to, archive: chunked(bytes), signal });
      expect(filled.size).toBe(7000);
      expect(tree(to)).toEqual(tree(from));
      expect(await digest("/a", {}, to)).toBe(await digest("/a"));
    },
  );

  test("S08: that climbs out or goes through a link is refused or stays inside", async () => {
    const script = `
import tarfile, io, sys
t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
def add(name, **k):
    i = tarfile.TarInfo(name)
    for a, b in k.items(): setattr(i, a, b)
    data = b"x" if i.isfile() else b""
    i.size = len(data)
    t.addfile(i, io.BytesIO(data))
add("out", type=tarfile.SYMTYPE, linkname="${base}")
add("out/escaped")
add("/absolute")
t.close()`;
    const bytes = await bytesOf($`python3 -c ${script}`);
    await files.unpack({ root: to, archive: chunked(bytes), signal }).catch(() => {});
    expect(existsSync(join(base, "escaped"))).toBe(false);
    const climbing = await bytesOf($`tar -C ${base} -cf - --transform=s,^,../../, from`);
    await expect(files.unpack({ root: to, archive: chunked(climbing), signal })).rejects.toThrow("leads out");
  });

  test("S25: that is a bomb is refused", async () => {
    await $`truncate -s 200M ${from}/zeros`;
    const bomb = await bytesOf($`tar -C ${from} -cf - zeros | zstd -q`);
    await expect(files.unpack({ root: to, archive: chunked(bomb), signal })).rejects.toThrow(
      "expands to more",
    );
  });

  test("that is noise or ends early is refused", async () => {
    const noise = new Uint8Array(2000).fill(7);
    await expect(files.unpack({ root: to, archive: chunked(noise), signal })).rejects.toThrow();
    write("a", "a".repeat(5000));
    const whole = await bytesOf($`tar -C ${from} -czf - a`);
    const cut = whole.subarray(0, whole.length - 20);
    await expect(files.unpack({ root: to, archive: chunked(cut), signal })).rejects.toThrow();
  });
});

function entriesOf(root: string, path = ""): TreeEntry[] {
  return readdirSync(join(root, path))
    .sort()
    .flatMap((name) => {
      const child = path === "" ? name : `${path}/${name}`;
      const stats = lstatSync(join(root, child), { bigint: true });
      const entry: TreeEntry = {
        path: child,
        mode: Number(stats.mode),
        ...{ uid: 0, gid: 0, devmajor: 0, devminor: 0 },
        size: Number(stats.size),
        mtime: stats.mtimeNs,
        linkname: stats.isSymbolicLink() ? readlinkSync(join(root, child)) : "",
      };
      return stats.isDirectory() ? [entry, ...entriesOf(root, child)] : [entry];
    });
}

/** What was asked for. */
async function transfer(entries = entriesOf(from)): Promise<string[]> {
  await using receiver = await files.receive({ root: to, signal });
  const wanted = await receiver.offer(entries);
  for (const index of wanted) {
    const bytes = readFileSync(join(from, entries[index]?.path ?? ""));
    await receiver.write(index, bytes.subarray(0, 3), false);
    await receiver.write(index, bytes.subarray(3), true);
  }
  await receiver.finish();
  return wanted.map((index) => entries[index]?.path ?? "");
}

describe("a transfer", () => {
  test("takes everything first, then only what differs, and removes what is gone", async () => {
    for (const name of ["a/x", "a/y", "b"]) write(name);
    symlinkSync("a", join(from, "l"));
    expect(await transfer()).toEqual(["a/x", "a/y", "b"]);
    expect(tree(to)).toEqual(tree(from));
    expect(await transfer()).toEqual([]);
    write("a/y", "changed");
    rmSync(join(from, "b"));
    rmSync(join(from, "l"));
    mkdirSync(join(from, "l"));
    expect(await transfer()).toEqual(["a/y"]);
    expect(tree(to)).toEqual(tree(from));
    expect(await digest("/", {}, to)).toBe(await digest("/"));
  });

  test("that is cut short is made good by the next one", async () => {
    write("a", "text");
    const entries = entriesOf(from);
    {
      await using receiver = await files.receive({ root: to, signal });
      await receiver.offer(entries);
      await receiver.write(0, Buffer.from("te"), false);
    }
    expect(await transfer()).toEqual(["a"]);
    expect(tree(to)).toEqual(["a: text"]);
  });

  test("S08: writes nothing through links or outside, whatever the client says", async () => {
    const entry = (path: string, change: Partial<TreeEntry> = {}): TreeEntry => ({
      ...{ path, mode: 0o100644, uid: 0, gid: 0, size: 1, mtime: 0n, linkname: "", devmajor: 0, devminor: 0 },
      ...change,
    });
    for (const hostile of [
      [entry("../x")],
      [entry("a/b")],
      [entry("l", { mode: 0o120777, linkname: base }), entry("l/x")],
      [entry("h", { linkname: "../secret" })],
    ]) {
      await expect(transfer(hostile)).rejects.toThrow();
    }
    expect(readdirSync(base).sort()).toEqual(
      ["from", "to", "to.index", "to.index.new"].filter((name) => existsSync(join(base, name))),
    );
  });
});
