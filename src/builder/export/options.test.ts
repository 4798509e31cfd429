import { expect, test } from "bun:test";
import { checkAttestations, checkExporters } from "./options.ts";

const check = (type: string, attrs: Readonly<Record<string, string>>) => () =>
  checkExporters([{ type, attrs }]);

test("what is done anyway may be asked for", () => {
  check("moby", { name: "a,b", push: "false", unpack: "true", compression: "gzip" })();
  check("image", { "rewrite-timestamp": "false" })();
  check("local", { dest: "/x", "platform-split": "false", mode: "copy" })();
  check("tar", {})();
  check("cacheonly", {})();
});

test("what is not done is refused by name, with the way out", () => {
  for (const [type, name, value, wayOut] of [
    ["moby", "compression", "zstd", "when they are pushed"],
    ["moby", "compression-level", "3", "when they are pushed"],
    ["image", "force-compression", "true", "when they are pushed"],
    ["image", "rewrite-timestamp", "true", "in a step"],
    ["image", "push", "true", "push the image after the build"],
    ["image", "source-date-epoch", "0", "--build-arg SOURCE_DATE_EPOCH"],
    ["image", "annotation.org.example", "x", "--label"],
    ["local", "platform-split", "true", "at the top"],
    ["local", "mode", "delete", "empty the directory"],
    ["tar", "mode", "copy", "type=local"],
  ] as const) {
    expect(check(type, { [name]: value })).toThrow(
      `the option ${name}=${value} of the exporter ${type} is not`,
    );
    expect(check(type, { [name]: value })).toThrow(wayOut);
  }
  expect(check("oci", {})).toThrow("the exporter oci is not implemented");
});

test("what there is not is told so", () => {
  expect(check("moby", { nmae: "x" })).toThrow("unknown option nmae=x of the exporter moby");
  expect(check("local", { constructor: "x" })).toThrow("unknown option constructor=x");
});

test("attestations that somebody asks for are refused by name; what buildx asks for by itself is not", () => {
  const check = (name: string, value: string) => () => checkAttestations(new Map([[name, value]]));
  expect(check("attest:sbom", "")).toThrow("the attestation attest:sbom= is not implemented");
  expect(check("attest:provenance", "mode=max")).toThrow("--provenance=false");
  check("attest:provenance", "mode=min,inline-only=true")();
  check("attest:provenance", "disabled=true")();
  check("build-arg:attest", "x")();
});
