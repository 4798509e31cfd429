import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCsvLine } from "../flags/common-flags.ts";
import {
  familiarString,
  fullString,
  isImageId,
  parseReference,
  withDefaultTag,
} from "../values/reference.ts";
import { checkAddress, parseCpus } from "./checks.ts";
import { parseGpus } from "./gpus.ts";
import { lastOfEach, readKeyValueFile } from "./key-values.ts";
import { parseMount, parseVolumes } from "./mounts.ts";
import { parseExpose, parsePublish } from "./ports.ts";

describe("ports", () => {
  test("a range is published port by port", () => {
    expect(parsePublish(["8000-8001:80-81"]).bindings).toEqual({
      "80/tcp": [{ HostIp: "", HostPort: "8000" }],
      "81/tcp": [{ HostIp: "", HostPort: "8001" }],
    });
  });

  test("a range on the host alone leaves the choice to the engine", () => {
    expect(parsePublish(["8000-8010:80"]).bindings).toEqual({
      "80/tcp": [{ HostIp: "", HostPort: "8000-8010" }],
    });
  });

  test("addresses of both families, and protocols", () => {
    expect(parsePublish(["127.0.0.1::53/udp", "[::1]:99:99"]).bindings).toEqual({
      "53/udp": [{ HostIp: "127.0.0.1", HostPort: "" }],
      "99/tcp": [{ HostIp: "::1", HostPort: "99" }],
    });
  });

  test.each([
    ["99999:80", "invalid hostPort: 99999"],
    ["a:b", "invalid containerPort: b"],
    ["80-81:90-95", "invalid ranges specified for container and host Ports: 90-95 and 80-81"],
    ["1.2.3:80:80", "invalid IP address: 1.2.3"],
    ["80/x", "invalid proto: x"],
    ["", "no port specified: <empty>"],
  ])("%s cannot be published", (spec, message) => {
    expect(() => parsePublish([spec])).toThrow(message);
  });

  test("the engine judges the protocol of an exposed port", () => {
    expect(parseExpose("80/foo")).toEqual(["80/foo"]);
  });

  test("ranges can be exposed", () => {
    expect(parseExpose("80-82/udp")).toEqual(["80/udp", "81/udp", "82/udp"]);
  });
});

describe("volumes", () => {
  test("binds and anonymous volumes are kept apart, relative paths made absolute", () => {
    expect(parseVolumes(["/a:/b:ro", "name:/c", "/anon", "./x:/y"])).toEqual({
      binds: ["/a:/b:ro", "name:/c", `${join(process.cwd(), "x")}:/y`],
      volumes: { "/anon": {} },
    });
  });
});

describe("files of variables", () => {
  test("comments and blank lines are dropped, bare names are looked up", () => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-env-"));
    try {
      const path = join(directory, "env");
      writeFileSync(path, "\ufeffA=1\r\n# note\n\n  C=x y\nHOME\nABSENT\n");
      const lookup = (name: string): string | undefined => (name === "HOME" ? "/root" : undefined);
      expect(readKeyValueFile(path, lookup)).toEqual(["A=1", "C=x y", "HOME=/root"]);
      expect(readKeyValueFile(path)).toEqual(["A=1", "C=x y"]);
      writeFileSync(path, "A B=1\n");
      expect(() => readKeyValueFile(path)).toThrow("variable 'A B' contains whitespaces");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("references", () => {
  test("short names grow and shrink again", () => {
    expect(fullString(withDefaultTag(parseReference("busybox")))).toBe("docker.io/library/busybox:latest");
    expect(familiarString(withDefaultTag(parseReference("busybox")))).toBe("busybox:latest");
    expect(parseReference("localhost:5000/a/b:1")).toEqual({
      domain: "localhost:5000",
      path: "a/b",
      tag: "1",
    });
  });

  test("a digest alone is an image's id, not a repository", () => {
    expect(isImageId("a".repeat(64))).toBe(true);
    expect(isImageId(`sha256:${"a".repeat(64)}`)).toBe(true);
    expect(isImageId(`sha256:${"a".repeat(12)}`)).toBe(false);
    expect(isImageId("busybox")).toBe(false);
  });

  test("bad ones are refused in Docker's words", () => {
    expect(() => parseReference("UPPER")).toThrow("repository name (library/UPPER) must be lowercase");
    expect(() => parseReference("a:b:c")).toThrow("invalid reference format");
  });
});

test("a line of CSV may quote its fields", () => {
  expect(parseCsvLine('a=1,"b=2,3","say ""x"""')).toEqual(["a=1", "b=2,3", 'say "x"']);
});

test("of several values of a variable the last is sent", () => {
  expect(lastOfEach(["A=1", "B", "A=2"])).toEqual(["A=2", "B"]);
});

test("GPUs are counted, or named with their driver and capabilities", () => {
  const plain = { Driver: "", Count: 1, Capabilities: [["gpu"]], Options: {} };
  expect(parseGpus("all")).toEqual({ ...plain, Count: -1 });
  expect(parseGpus("driver=x")).toEqual({ ...plain, Driver: "x" });
  expect(parseGpus('"device=a,b","capabilities=c,d"')).toEqual({
    ...plain,
    Count: 0,
    DeviceIDs: ["a", "b"],
    Capabilities: [["c", "d", "gpu"]],
  });
  expect(() => parseGpus("x")).toThrow("invalid count (x)");
  expect(() => parseGpus("count=1,count=2")).toThrow("can be specified only once");
});

test("numbers of CPUs are rational, in all of Go's notations", () => {
  expect(["1e-1", "0x10", "1/2", ".5"].map(parseCpus)).toEqual([1e8, 16e9, 5e8, 5e8]);
});

test("addresses are sent in their canonical form", () => {
  expect(["::FFFF:1.2.3.4", "2001:DB8:0:0::1", " 1.1.1.1"].map(checkAddress)).toEqual([
    "1.2.3.4",
    "2001:db8::1",
    "1.1.1.1",
  ]);
});

test("an empty mount is the end of its line", () => {
  expect(() => parseMount("")).toThrow("EOF");
});
