import { describe, expect, test } from "bun:test";
import { parseRegistryPath } from "./routes.ts";

const digest = `sha256:${"a".repeat(64)}`;

describe("paths", () => {
  test.each([
    ["/v2/", { kind: "base" }],
    ["/v2", { kind: "base" }],
    ["/v2/_catalog", { kind: "catalog" }],
    ["/v2/a/b/manifests/latest", { kind: "manifest", name: "a/b", reference: "latest" }],
    [`/v2/a/blobs/${digest}`, { kind: "blob", name: "a", digest }],
    ["/v2/a/blobs/uploads/", { kind: "uploads", name: "a" }],
    ["/v2/a/blobs/uploads/123", { kind: "upload", name: "a", id: "123" }],
    ["/v2/a/tags/list", { kind: "tags", name: "a" }],
    [`/v2/a/referrers/${digest}`, { kind: "referrers", name: "a", digest }],
  ])("%s", (path, expected) => {
    expect(parseRegistryPath(path)).toEqual(expected as ReturnType<typeof parseRegistryPath>);
  });

  test("are read from the right: keywords are legal in names", () => {
    expect(parseRegistryPath(`/v2/a/blobs/b/blobs/${digest}`)).toMatchObject({
      kind: "blob",
      name: "a/blobs/b",
    });
    expect(parseRegistryPath("/v2/manifests/tags/list")).toMatchObject({ kind: "tags", name: "manifests" });
  });

  test.each([
    "/v2/../etc/manifests/x",
    "/v2/A/manifests/x",
    "/v2/a%2Fb/manifests/x",
    "/v2/a//b/tags/list",
    "/v2/a./tags/list",
  ])("%s is refused by its name", (path) => {
    expect(() => parseRegistryPath(path)).toThrow("invalid repository name");
  });

  test.each(["/", "/v1/x", "/v2/a", "/v2/a/unknown/b"])("%s is none of this API's", (path) => {
    expect(parseRegistryPath(path)).toBeUndefined();
  });
});
