import { describe, expect, test } from "bun:test";
import { OCI_INDEX, readManifest } from "./manifests.ts";

const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const of = (letter: string, mediaType = "application/vnd.oci.image.layer.v1.tar+gzip", more = {}) => ({
  mediaType,
  digest: digest(letter),
  size: 3,
  ...more,
});
const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));
const image = {
  schemaVersion: 2,
  mediaType: OCI_MANIFEST,
  config: of("c", "application/x.config"),
  layers: [of("a"), of("b")],
};

describe("an image", () => {
  test("refers to its config and its layers, each once", () => {
    const { children } = readManifest(bytes({ ...image, layers: [of("a"), of("a")] }), OCI_MANIFEST);
    expect(children.map(({ digest, kind }) => [digest[7], kind])).toEqual([
      ["c", "config"],
      ["a", "layer"],
    ]);
  });

  test("needs no layers that are kept elsewhere", () => {
    const layers = [
      of("a", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
      of("b", "application/x", { urls: ["https://example.com/b"] }),
    ];
    expect(readManifest(bytes({ ...image, layers }), OCI_MANIFEST).children).toHaveLength(1);
  });

  test("has the artifact type that it says, or its config's", () => {
    expect(readManifest(bytes(image), OCI_MANIFEST).artifactType).toBe("application/x.config");
    expect(
      readManifest(bytes({ ...image, artifactType: "application/x.sbom" }), OCI_MANIFEST).artifactType,
    ).toBe("application/x.sbom");
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] };
    expect(readManifest(bytes(index), OCI_INDEX).artifactType).toBeUndefined();
  });

  test("may name a subject", () => {
    expect(readManifest(bytes({ ...image, subject: of("d") }), OCI_MANIFEST).subject).toBe(digest("d"));
  });
});

describe("S27: a document that could be read in two ways is refused:", () => {
  test.each([
    ["sent as another type than it says", bytes(image), OCI_INDEX],
    ["with layers and manifests", bytes({ ...image, manifests: [] }), OCI_MANIFEST],
    ["of schema 1", bytes({ schemaVersion: 1, fsLayers: [] }), OCI_MANIFEST],
    ["without a type", bytes({ schemaVersion: 2, config: image.config, layers: [] }), ""],
    ["of an unknown type", bytes({ ...image, mediaType: "text/plain" }), "text/plain"],
    ["that is not JSON", Buffer.from("{"), OCI_MANIFEST],
    ["that is not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), OCI_MANIFEST],
    ["that is a list", bytes([]), OCI_MANIFEST],
    [
      "with a broken digest",
      bytes({ ...image, layers: [{ ...of("a"), digest: "sha256:xyz" }] }),
      OCI_MANIFEST,
    ],
    ["with a negative size", bytes({ ...image, layers: [{ ...of("a"), size: -1 }] }), OCI_MANIFEST],
  ])("%s", (_, document, type) => {
    expect(() => readManifest(document, type)).toThrow("manifest invalid");
  });
});
