import { describe, expect, test } from "bun:test";
import { digestOf } from "./digests.ts";
import {
  type ImageIndex,
  MEDIA_TYPES,
  parseImageConfig,
  parseManifest,
  parsePlatform,
  platformMatches,
  selectManifest,
} from "./manifests.ts";

const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf("c"), size: 1 };
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: digestOf("l"), size: 1 };
const manifest = { schemaVersion: 2, config, layers: [layer] };

function bytes(document: unknown): Uint8Array {
  return new TextEncoder().encode(typeof document === "string" ? document : JSON.stringify(document));
}

function entry(name: string, platform?: object, annotations?: object) {
  return { mediaType: MEDIA_TYPES.ociManifest, digest: digestOf(name), size: 1, platform, annotations };
}

describe("a manifest", () => {
  test("is read in Docker's and OCI's form", () => {
    for (const mediaType of [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest]) {
      expect(parseManifest(bytes({ ...manifest, mediaType }), mediaType)).toEqual({
        kind: "manifest",
        mediaType,
        config,
        layers: [layer],
      });
    }
  });

  test("that does not say its type is what its fields make it", () => {
    expect(parseManifest(bytes(manifest), "").kind).toBe("manifest");
    expect(parseManifest(bytes({ manifests: [] }), "").kind).toBe("index");
  });

  const refused: [what: string, document: unknown, mediaType: string, message: string][] = [
    ["both kinds at once", { ...manifest, manifests: [] }, MEDIA_TYPES.ociManifest, "could be both"],
    ["an index with layers", { manifests: [], layers: [] }, MEDIA_TYPES.ociIndex, "could be both"],
    [
      "another type inside",
      { ...manifest, mediaType: MEDIA_TYPES.dockerManifest },
      MEDIA_TYPES.ociManifest,
      "says that it is",
    ],
    ["an index sent as a manifest", { manifests: [] }, MEDIA_TYPES.ociManifest, "not what its type"],
    ["a manifest sent as an index", manifest, MEDIA_TYPES.ociIndex, "not what its type"],
    [
      "schema 1",
      { schemaVersion: 1, fsLayers: [] },
      "application/vnd.docker.distribution.manifest.v1+json",
      "schema 1",
    ],
    ["schema 1 in disguise", { ...manifest, fsLayers: [] }, MEDIA_TYPES.dockerManifest, "schema 1"],
    ["an unknown type", manifest, "text/html", "unsupported manifest media type"],
    [
      "an artifact",
      { ...manifest, config: { ...config, mediaType: "application/x-helm" } },
      "",
      "not a container image",
    ],
    [
      "a weak digest",
      { ...manifest, config: { ...config, digest: `md5:${"a".repeat(32)}` } },
      "",
      "digest format",
    ],
    [
      "a path as digest",
      { ...manifest, config: { ...config, digest: "sha256:../../x" } },
      "",
      "digest format",
    ],
    ["a negative size", { ...manifest, layers: [{ ...layer, size: -1 }] }, "", "invalid size"],
    ["a size that is no number", { ...manifest, layers: [{ ...layer, size: "1" }] }, "", "invalid size"],
    ["too many layers", { ...manifest, layers: new Array(128).fill(layer) }, "", "max depth exceeded"],
    ["layers that are no list", { ...manifest, layers: {} }, "", "not a list"],
    ["no JSON", "<html>", "", "not JSON"],
    ["no object", "[]", "", "not a JSON object"],
  ];
  test.each(refused)("with %s is refused", (_, document, mediaType, message) => {
    expect(() => parseManifest(bytes(document), mediaType)).toThrow(message);
  });
});

describe("the manifest for a platform", () => {
  const index = (...manifests: object[]) =>
    ({ kind: "index", mediaType: MEDIA_TYPES.ociIndex, manifests }) as ImageIndex;
  const amd64 = { os: "linux", architecture: "amd64" };

  test("is the one that fits, attestations left out", () => {
    const attestation = entry(
      "att",
      { os: "unknown", architecture: "unknown" },
      { "vnd.docker.reference.type": "x" },
    );
    const found = selectManifest(
      index(attestation, entry("arm", { os: "linux", architecture: "arm64" }), entry("amd", amd64)),
      amd64,
    );
    expect(found?.digest).toBe(digestOf("amd"));
  });

  test("is the highest variant that still runs", () => {
    const arm = (variant: string) => entry(variant, { os: "linux", architecture: "arm", variant });
    const all = index(arm("v5"), arm("v7"), arm("v6"));
    expect(selectManifest(all, { os: "linux", architecture: "arm", variant: "v6" })?.digest).toBe(
      digestOf("v6"),
    );
    expect(selectManifest(all, { os: "linux", architecture: "arm" })?.digest).toBe(digestOf("v7"));
  });

  test("may be none", () => {
    expect(
      selectManifest(index(entry("w", { os: "windows", architecture: "amd64" })), amd64),
    ).toBeUndefined();
  });
});

test("platforms are compared whatever they are called", () => {
  expect(
    platformMatches(parsePlatform("linux/aarch64"), { os: "linux", architecture: "arm64", variant: "v8" }),
  ).toBe(true);
  expect(platformMatches(parsePlatform("linux/x86_64"), { os: "linux", architecture: "amd64" })).toBe(true);
  expect(platformMatches(parsePlatform("linux/amd64"), { os: "linux", architecture: "arm64" })).toBe(false);
  expect(() => parsePlatform("linux/../x")).toThrow("invalid platform");
  expect(parsePlatform("windows").os).toBe("windows");
  expect(parsePlatform("aarch64")).toEqual({ os: "linux", architecture: "arm64" });
  expect(() => parsePlatform("foobar")).toThrow('"foobar": unknown operating system or architecture');
});

describe("an image's configuration", () => {
  const rootfs = { type: "layers", diff_ids: [digestOf("a")] };

  test("is read as it is", () => {
    const read = parseImageConfig(
      bytes({ os: "linux", architecture: "amd64", config: { Env: ["A=b"], Cmd: null }, rootfs }),
    );
    expect(read.config?.Env).toEqual(["A=b"]);
    expect(read.rootfs.diff_ids).toEqual([digestOf("a")]);
  });

  test.each<[string, object]>([
    ["Env that is no list", { config: { Env: "A=b" }, rootfs }],
    ["Cmd of numbers", { config: { Cmd: [1] }, rootfs }],
    ["Labels of objects", { config: { Labels: { a: {} } }, rootfs }],
    ["layers without digests", { rootfs: { diff_ids: ["x"] } }],
    ["no layers at all", {}],
    ["history that is no list", { history: {}, rootfs }],
  ])("with %s is refused", (_, document) => {
    expect(() => parseImageConfig(bytes(document))).toThrow("in image configuration");
  });
});
