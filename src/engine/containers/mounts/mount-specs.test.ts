import { describe, expect, test } from "bun:test";
import type { Mount } from "../../../api/types.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import { mergeTmpfsOptions, parseBind, parseMount, parseVolumesFrom } from "./mount-specs.ts";

describe("the syntax of -v", () => {
  const good: [string, object][] = [
    ["/data", { type: "volume", source: "", destination: "/data", rw: true }],
    [
      "/host:/in",
      {
        type: "bind",
        source: "/host",
        destination: "/in",
        rw: true,
        propagation: "rprivate",
        createMountpoint: true,
      },
    ],
    ["/host/:/in/../in//x", { source: "/host", destination: "/in/x" }],
    [
      "name:/in",
      { type: "volume", source: "name", destination: "/in", propagation: "", createMountpoint: false },
    ],
    ["/h:/in:ro", { rw: false, mode: "ro" }],
    ["/h:/in:ro,z,rshared,cached", { rw: false, propagation: "rshared", mode: "ro,z,rshared,cached" }],
    ["/h:/in:slave", { propagation: "slave" }],
    ["name:/in:nocopy", { noCopy: true }],
    ["name:/in:ro,Z,nocopy", { noCopy: true, rw: false }],
    ["/:/host:ro", { type: "bind", source: "/", destination: "/host" }],
    ["/h:/in:delegated", { mode: "delegated" }],
  ];
  for (const [raw, expected] of good) {
    test(raw, () => expect(parseBind(raw, "")).toMatchObject(expected));
  }

  const bad: [string, string][] = [
    ["", "invalid volume specification: ''"],
    [":/in", "invalid volume specification: ':/in'"],
    ["/in:ro", "invalid volume specification: '/in:ro'"],
    ["/a:/b:/c:/d", "invalid volume specification: '/a:/b:/c:/d'"],
    ["/a:/b:sw", "invalid mode: sw"],
    ["/a:/b:ro,rw", "invalid mode: ro,rw"],
    ["/a:/b:z,Z", "invalid mode: z,Z"],
    [
      "/a:/",
      `invalid volume specification: '/a:/': invalid mount config for type "bind": invalid specification: destination can't be '/'`,
    ],
    [
      "/a:in",
      `invalid volume specification: '/a:in': invalid mount config for type "bind": invalid mount path: 'in' mount path must be absolute`,
    ],
    ["name:", "field Target must not be empty"],
  ];
  for (const [raw, message] of bad) {
    test(`${JSON.stringify(raw)} is refused`, () => {
      expect(() => parseBind(raw, "")).toThrow(InvalidParameterError);
      expect(() => parseBind(raw, "")).toThrow(message);
    });
  }

  test("a volume takes the driver of --volume-driver", () => {
    expect(parseBind("name:/in", "other").driver).toBe("other");
    expect(parseBind("/host:/in", "other").driver).toBeUndefined();
  });
});

describe("the syntax of --mount", () => {
  const good: [Mount, object][] = [
    [
      { Type: "bind", Source: "/tmp", Target: "/in" },
      { type: "bind", source: "/tmp", createMountpoint: false, propagation: "rprivate" },
    ],
    [
      { Type: "bind", Source: "/absent/x", Target: "/in", BindOptions: { CreateMountpoint: true } },
      { createMountpoint: true },
    ],
    [
      {
        Type: "bind",
        Source: "/tmp",
        Target: "/in",
        ReadOnly: true,
        BindOptions: { Propagation: "rslave", NonRecursive: true },
      },
      { rw: false, propagation: "rslave", nonRecursive: true },
    ],
    [
      { Type: "volume", Target: "/in" },
      { type: "volume", source: "" },
    ],
    [
      {
        Type: "volume",
        Source: "v",
        Target: "/in",
        VolumeOptions: { Subpath: "a/b", NoCopy: true, Labels: { a: "b" } },
      },
      { subpath: "a/b", noCopy: true, labels: { a: "b" } },
    ],
    [
      {
        Type: "volume",
        Source: "v",
        Target: "/in",
        VolumeOptions: { DriverConfig: { Name: "local", Options: { type: "tmpfs" } } },
      },
      { driver: "local", driverOpts: { type: "tmpfs" } },
    ],
    [
      { Type: "tmpfs", Target: "/in", TmpfsOptions: { SizeBytes: 4096, Mode: 0o1770 } },
      { type: "tmpfs", tmpfs: { size: 4096, mode: 0o1770 } },
    ],
  ];
  for (const [mount, expected] of good) {
    test(JSON.stringify(mount), async () => expect(await parseMount(mount)).toMatchObject(expected));
  }

  const bad: [Mount, string][] = [
    [
      { Type: "bind", Source: "/absent/x", Target: "/in" },
      'invalid mount config for type "bind": bind source path does not exist: /absent/x',
    ],
    [{ Type: "bind", Target: "/in" }, 'invalid mount config for type "bind": field Source must not be empty'],
    [
      { Type: "bind", Source: "/tmp" },
      'invalid mount config for type "bind": field Target must not be empty',
    ],
    [{ Type: "bind", Source: "tmp", Target: "/in" }, "invalid mount path: 'tmp' mount path must be absolute"],
    [{ Type: "bind", Source: "/tmp", Target: "/" }, "destination can't be '/'"],
    [
      { Type: "bind", Source: "/tmp", Target: "/in", VolumeOptions: {} },
      "field VolumeOptions must not be specified",
    ],
    [
      { Type: "bind", Source: "/tmp", Target: "/in", BindOptions: { Propagation: "odd" as never } },
      "invalid propagation mode: odd",
    ],
    [
      { Type: "volume", Source: "v", Target: "/in", BindOptions: {} },
      "field BindOptions must not be specified",
    ],
    [
      { Type: "volume", Target: "/in", ReadOnly: true },
      "must not set ReadOnly mode when using anonymous volumes",
    ],
    [
      { Type: "volume", Target: "/in", VolumeOptions: { Subpath: "a" } },
      "must not set Subpath when using anonymous volumes",
    ],
    [
      { Type: "volume", Source: "v", Target: "/in", VolumeOptions: { Subpath: "../a" } },
      "subpath must be a relative path within the volume",
    ],
    [
      { Type: "volume", Source: "v", Target: "/in", VolumeOptions: { Subpath: "/a" } },
      "subpath must be a relative path within the volume",
    ],
    [
      { Type: "tmpfs", Source: "x", Target: "/in" },
      'invalid mount config for type "tmpfs": field Source must not be specified',
    ],
    [{ Type: "frob" as never, Target: "/in" }, 'invalid mount config for type "frob": mount type unknown'],
  ];
  for (const [mount, message] of bad) {
    test(`${JSON.stringify(mount)} is refused`, async () => {
      await expect(parseMount(mount)).rejects.toThrow(message);
      await expect(parseMount(mount)).rejects.toBeInstanceOf(InvalidParameterError);
    });
  }

  test("image mounts are read-only, and of a part that is in them", async () => {
    const image = { Type: "image", Source: "busybox", Target: "/in" } as const;
    expect(await parseMount(image)).toMatchObject({ type: "image", source: "busybox", rw: false });
    expect(await parseMount({ ...image, ImageOptions: { Subpath: "a/b" } })).toMatchObject({
      subpath: "a/b",
    });
    await expect(parseMount({ ...image, ImageOptions: { Subpath: "../b" } })).rejects.toThrow(
      "subpath must be a relative path within the volume",
    );
    await expect(parseMount({ ...image, Source: "" })).rejects.toThrow("field Source must not be empty");
    await expect(parseMount({ ...image, Type: "bind", Source: "/", ImageOptions: {} })).rejects.toThrow(
      "field ImageOptions must not be specified",
    );
  });

  test.each(["npipe", "cluster"] as const)("%s mounts are refused by name", async (Type) => {
    await expect(parseMount({ Type, Source: "x", Target: "/in" })).rejects.toThrow(
      `invalid mount config for type "${Type}": mount type unknown`,
    );
  });
});

describe("tmpfs options", () => {
  test("have safe defaults, which can be taken back", () => {
    expect(mergeTmpfsOptions("")).toEqual(["noexec", "nosuid", "nodev", "rprivate"]);
    expect(mergeTmpfsOptions("exec,size=64m,mode=1777")).toEqual([
      "nosuid",
      "nodev",
      "rprivate",
      "exec",
      "size=64m",
      "mode=1777",
    ]);
    expect(mergeTmpfsOptions("size=1m,ro,size=2m")).toContain("size=2m");
    expect(mergeTmpfsOptions("size=1m,size=2m")).not.toContain("size=1m");
  });

  test("unknown ones are refused", () => {
    expect(() => mergeTmpfsOptions("frob")).toThrow('invalid tmpfs option ["frob"]');
    expect(() => mergeTmpfsOptions("size")).toThrow("invalid tmpfs option");
    expect(() => mergeTmpfsOptions("context=x")).toThrow("invalid tmpfs option");
  });
});

describe("--volumes-from", () => {
  test("is a container and perhaps a mode", () => {
    expect(parseVolumesFrom("web")).toEqual({ container: "web", rw: true, mode: "rw" });
    expect(parseVolumesFrom("web:ro,z")).toEqual({ container: "web", rw: false, mode: "ro,z" });
    expect(() => parseVolumesFrom(":ro")).toThrow("malformed volumes-from specification: :ro");
    expect(() => parseVolumesFrom("web:shared")).toThrow("invalid mode: shared");
    expect(() => parseVolumesFrom("web:nocopy")).toThrow("invalid mode: nocopy");
  });
});
