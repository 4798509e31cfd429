/** What each API version adds, ignores or takes away. */
import { describe, expect, test } from "bun:test";
import type { ContainerCreateBody } from "../../api/bodies/container.ts";
import type { ImageSummary, SystemInfo } from "../../api/types.ts";
import type { DescribedImage } from "../../engine/images/index.ts";
import { createFor, updateFor } from "./create.ts";
import { inspectFor as imageFor, summaryFor as imageSummaryFor } from "./images.ts";
import { infoFor } from "./info.ts";
import { usageFor } from "./usage.ts";

const at = (minor: number) => ({ atLeast: ([, least]: readonly [number, number]) => minor >= least });

type Body = Partial<ContainerCreateBody> & { config?: ContainerCreateBody["config"] };

function create(minor: number, body: Body, cgroupVersion: 1 | 2 = 1) {
  const whole = { config: {}, hostConfig: {}, networkingConfig: {}, ...body };
  return createFor(at(minor), whole as Parameters<typeof createFor>[1], cgroupVersion);
}

describe("a create request", () => {
  test("has the defaults of its day", () => {
    expect(create(39, {}).hostConfig).toMatchObject({ IpcMode: "shareable", CgroupnsMode: "host" });
    expect(create(39, {}, 2).hostConfig.CgroupnsMode).toBeUndefined();
    expect(create(40, {}).hostConfig).toMatchObject({ CgroupnsMode: "host" });
    expect([create(41, {}).hostConfig.IpcMode, create(41, {}).hostConfig.CgroupnsMode]).toEqual([
      undefined,
      undefined,
    ]);
    expect(create(39, { hostConfig: { IpcMode: "none", CgroupnsMode: "private" } }).hostConfig).toMatchObject(
      {
        IpcMode: "none",
        CgroupnsMode: "private",
      },
    );
    expect(create(24, { hostConfig: { AutoRemove: true } }).hostConfig.AutoRemove).toBe(false);
  });

  test("is not asked for what its version did not know", () => {
    const hostConfig = { Annotations: { a: "b" }, ConsoleSize: [1, 2] };
    expect(create(41, { hostConfig }).hostConfig.ConsoleSize).toEqual([0, 0]);
    expect([42, 43].map((minor) => create(minor, { hostConfig }).hostConfig.Annotations)).toEqual([
      undefined,
      { a: "b" },
    ]);
    const config = { Healthcheck: { StartInterval: 5, Interval: 7 } };
    expect([43, 44].map((minor) => create(minor, { config }).config.Healthcheck?.StartInterval)).toEqual([
      0, 5,
    ]);
    const networkingConfig = { EndpointsConfig: { n: { GwPriority: 3 } } };
    const priorities = [47, 48].map((minor) => create(minor, { networkingConfig }).endpoints.n?.GwPriority);
    expect(priorities).toEqual([0, 3]);
    const mounts = [{ Type: "bind" as const, BindOptions: { NonRecursive: true, CreateMountpoint: true } }];
    const bind = (minor: number) =>
      create(minor, { hostConfig: { Mounts: mounts } }).hostConfig.Mounts?.[0]?.BindOptions;
    expect([39, 41, 42].map(bind)).toEqual([
      { NonRecursive: false, CreateMountpoint: false },
      { NonRecursive: true, CreateMountpoint: false },
      { NonRecursive: true, CreateMountpoint: true },
    ]);
  });

  test("is refused where its version cannot say what it says", () => {
    const many = { networkingConfig: { EndpointsConfig: { a: {}, b: {} } } };
    expect(() => create(43, many)).toThrow(
      "Container cannot be created with multiple network endpoints: a, b",
    );
    expect(Object.keys(create(44, many).endpoints)).toEqual(["a", "b"]);
    const mount = (fields: object) => ({ hostConfig: { Mounts: [fields] as never } });
    const refused: [number, object, string][] = [
      [
        43,
        { Type: "bind", BindOptions: { ReadOnlyForceRecursive: true } },
        "ReadOnlyForceRecursive needs API v1.44",
      ],
      [44, { Type: "volume", VolumeOptions: { Subpath: "a" } }, "VolumeOptions.Subpath needs API v1.45"],
      [47, { Type: "image" }, 'Mount type "Image" needs API v1.48'],
      [42, { Type: "bind", VolumeOptions: {} }, 'VolumeOptions must not be specified on mount type "bind"'],
      [42, { Type: "volume", BindOptions: {} }, 'BindOptions must not be specified on mount type "volume"'],
      [42, { Type: "volume", TmpfsOptions: {} }, 'TmpfsOptions must not be specified on mount type "volume"'],
    ];
    for (const [minor, fields, message] of refused)
      expect(() => create(minor, mount(fields))).toThrow(message);
    expect(create(41, mount({ Type: "bind", VolumeOptions: {} })).hostConfig.Mounts).toEqual([
      { Type: "bind" },
    ]);
    expect(create(51, { config: { MacAddress: "02:00:00:00:00:01" } }).config.MacAddress).toBeDefined();
    expect(() => create(52, { config: { MacAddress: "02:00:00:00:00:01" } })).toThrow("no longer supported");
  });

  test("publishes ports without bindings on some port, and says since 1.52 that this will end", () => {
    const hostConfig = { PortBindings: { "80/tcp": [], "81/tcp": [{ HostPort: "7" }] } };
    const filled = { "80/tcp": [{ HostIp: "", HostPort: "" }], "81/tcp": [{ HostPort: "7" }] };
    expect(create(51, { hostConfig })).toMatchObject({ hostConfig: { PortBindings: filled }, warnings: [] });
    expect(create(52, { hostConfig }).warnings.join("")).toContain("empty list of port-bindings: 80/tcp.");
  });

  test("is told since 1.48 that the volume driver does not concern mounts", () => {
    const hostConfig = { VolumeDriver: "x", Mounts: [{ Type: "volume" as const, Target: "/a" }] };
    expect([47, 48].map((minor) => create(minor, { hostConfig }).warnings.length)).toEqual([0, 1]);
  });
});

test("an update changes process limits since 1.40, and devices' rates since 1.55", () => {
  const change = { PidsLimit: 16, BlkioDeviceReadBps: [], Memory: 1 };
  expect(updateFor(at(24), change)).toMatchObject({
    PidsLimit: undefined,
    BlkioDeviceReadBps: undefined,
    Memory: 1,
  });
  expect(updateFor(at(54), change)).toMatchObject({ PidsLimit: 16, BlkioDeviceReadBps: undefined });
  expect(updateFor(at(55), change)).toMatchObject(change);
});

test("info has and lacks what each version does", () => {
  const info = {
    RuncCommit: { ID: "1.2" },
    ContainerdCommit: { ID: "" },
    InitCommit: { ID: "" },
    FirewallBackend: { Driver: "nftables" },
    SecurityOptions: ["name=seccomp,profile=builtin"],
    Runtimes: { crun: { path: "crun", status: {} } },
    RegistryConfig: {},
  } as unknown as SystemInfo;
  const seen = (minor: number) => infoFor(at(minor), info) as Record<string, unknown>;
  expect(seen(24).SecurityOptions).toEqual(["seccomp"]);
  expect(seen(43).Runtimes).toEqual({ crun: { path: "crun" } });
  expect(seen(44).Runtimes).toEqual({ crun: { path: "crun", status: {} } } as never);
  expect(seen(46).RegistryConfig).toHaveProperty("AllowNondistributableArtifactsCIDRs", null);
  expect([48, 49].map((minor) => seen(minor).RuncCommit)).toEqual([
    { ID: "1.2", Expected: "1.2" },
    { ID: "1.2" },
  ]);
  expect([48, 49].map((minor) => "FirewallBackend" in seen(minor))).toEqual([false, true]);
  expect([49, 50].map((minor) => "BridgeNfIptables" in seen(minor))).toEqual([true, false]);
});

describe("an image", () => {
  const image = {
    Id: "sha256:a",
    Size: 3,
    Parent: "",
    Author: "me",
    Config: { Cmd: ["sh"] },
    Descriptor: { size: 1 },
    Container: "",
    ContainerConfig: { Cmd: ["/bin/sh", "-c"] },
  } as unknown as DescribedImage;
  const seen = (minor: number) => imageFor(at(minor), image) as Record<string, unknown>;

  test("has the configuration of its builder's container before 1.45", () => {
    expect(seen(44).ContainerConfig).toMatchObject({ Cmd: ["/bin/sh", "-c"], Volumes: null, Hostname: "" });
    expect(seen(45)).not.toHaveProperty("ContainerConfig");
  });

  test("has defaults that look like a container's before 1.50, and nothing empty since 1.52", () => {
    expect(seen(49).Config).toMatchObject({ Cmd: ["sh"], Env: null, Labels: null, Hostname: "", Tty: false });
    expect(seen(51).Config).toEqual({
      Cmd: ["sh"],
      Entrypoint: null,
      Env: null,
      Labels: null,
      OnBuild: null,
      User: "",
      Volumes: null,
      WorkingDir: "",
    });
    expect(seen(52).Config).toEqual({ Cmd: ["sh"] });
    expect([51, 52].map((minor) => "Parent" in seen(minor))).toEqual([true, false]);
    expect(seen(52).Author).toBe("me");
  });

  test("has a date and a virtual size before 1.44, a descriptor since 1.48", () => {
    expect(seen(43)).toMatchObject({ Created: "0001-01-01T00:00:00Z", VirtualSize: 3 });
    expect([47, 48].map((minor) => "Descriptor" in seen(minor))).toEqual([false, true]);
  });

  test("without a name is listed as <none> before 1.43; its containers are counted since 1.51", () => {
    const row = { RepoTags: [], RepoDigests: [], Size: 3, Containers: 2 } as unknown as ImageSummary;
    expect(imageSummaryFor(at(42), row)).toMatchObject({ RepoTags: ["<none>:<none>"], VirtualSize: 3 });
    expect(imageSummaryFor(at(50), row)).toMatchObject({ RepoTags: [], Containers: -1 });
    expect(imageSummaryFor(at(51), row)).toMatchObject({ Containers: 2 });
  });
});

test("disk usage is lists until 1.51, sums with or without them since", () => {
  const usage = { ActiveCount: 1, TotalCount: 2, Reclaimable: 3, TotalSize: 4, Items: [{ Size: 5 }] };
  const { Items, ...sums } = usage;
  const seen = (minor: number, verbose = false) => usageFor(at(minor), { image: usage }, { verbose });
  expect(seen(43)).toEqual({ LayersSize: 4, Images: [{ Size: 5, VirtualSize: 5 }] });
  expect(seen(51)).toEqual({ LayersSize: 4, Images: Items });
  expect(seen(52)).toEqual({ LayersSize: 4, Images: Items, ImageUsage: sums });
  expect(seen(52, true)).toEqual({ ImageUsage: usage });
});
