import { describe, expect, test } from "bun:test";
import {
  canonicalString,
  familiarString,
  matchesFamiliar,
  parseReference,
  withDefaultTag,
  withTag,
} from "./references.ts";

const SHA = `sha256:${"a".repeat(64)}`;

describe("a reference as people write it", () => {
  const cases: [written: string, canonical: string, familiar: string][] = [
    ["busybox", "docker.io/library/busybox", "busybox"],
    ["busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"],
    ["library/busybox", "docker.io/library/busybox", "busybox"],
    ["docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["index.docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["docker.io/library/busybox", "docker.io/library/busybox", "busybox"],
    ["user/app", "docker.io/user/app", "user/app"],
    ["library/foo/bar", "docker.io/library/foo/bar", "library/foo/bar"],
    ["localhost/app", "localhost/app", "localhost/app"],
    ["localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x"],
    ["127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"],
    ["[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"],
    ["Uppercase/app", "Uppercase/app", "Uppercase/app"],
    ["quay.io/a/b__c--d.e", "quay.io/a/b__c--d.e", "quay.io/a/b__c--d.e"],
    [`busybox@${SHA}`, `docker.io/library/busybox@${SHA}`, `busybox@${SHA}`],
    [`busybox:1@${SHA}`, `docker.io/library/busybox:1@${SHA}`, `busybox:1@${SHA}`],
  ];
  test.each(cases)("%s is %s and shown as %s", (written, canonical, familiar) => {
    expect(canonicalString(parseReference(written))).toBe(canonical);
    expect(familiarString(parseReference(written))).toBe(familiar);
  });

  const wrong: [written: string, message: string][] = [
    ["", "invalid reference format"],
    [":tag", "invalid reference format"],
    ["a//b", "invalid reference format"],
    ["-a", "invalid reference format"],
    ["a:", "invalid reference format"],
    ["a:tag with space", "invalid reference format"],
    [`a:${"t".repeat(129)}`, "invalid reference format"],
    ["a___b", "invalid reference format"],
    ["a..b/c", "invalid reference format"],
    ["https://a/b", "invalid reference format"],
    ["a\n", "invalid reference format"],
    ["../../etc", "invalid reference format"],
    ["Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"],
    ["docker.io/A", "invalid reference format: repository name (library/A) must be lowercase"],
    [`busybox@sha256:${"a".repeat(40)}`, "invalid checksum digest format"],
    [`busybox@md5:${"a".repeat(32)}`, "invalid checksum digest format"],
    [
      "f".repeat(64),
      `invalid repository name (${"f".repeat(64)}), cannot specify 64-byte hexadecimal strings`,
    ],
    [`x.y/${"a".repeat(256)}`, "repository name must not be more than 255 characters"],
  ];
  test.each(wrong)("%j is refused: %s", (written, message) => {
    expect(() => parseReference(written)).toThrow(message);
  });
});

test("latest is assumed only where neither tag nor digest is given", () => {
  expect(withDefaultTag(parseReference("a")).tag).toBe("latest");
  expect(withDefaultTag(parseReference("a:b")).tag).toBe("b");
  expect(withDefaultTag(parseReference(`a@${SHA}`)).tag).toBeUndefined();
});

test("a tag is checked", () => {
  expect(withTag(parseReference("a"), "v1").tag).toBe("v1");
  expect(() => withTag(parseReference("a"), "-v1")).toThrow("invalid tag format");
});

test("the reference filter matches as Go's path.Match does", () => {
  const matches = (pattern: string, written: string) => matchesFamiliar(pattern, parseReference(written));
  expect(matches("busybox", "busybox:1")).toBe(true);
  expect(matches("busy*", "busybox:1")).toBe(true);
  expect(matches("*:1", "busybox:1")).toBe(true);
  expect(matches("*", "user/app:1")).toBe(false);
  expect(matches("*/*", "user/app:1")).toBe(true);
  expect(matches("b[a-z]sybox", "busybox:1")).toBe(true);
  expect(matches("b[^u]sybox", "busybox:1")).toBe(false);
  expect(matches("busybo?:1", "busybox:1")).toBe(true);
  expect(matches("busybox.", "busybox1")).toBe(false);
  expect(() => matches("[", "a")).toThrow("syntax error in pattern");
});
