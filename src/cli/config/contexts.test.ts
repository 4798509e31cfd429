import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseContext, readContext } from "./contexts.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-contexts-"));
afterAll(() => rmSync(directory, { recursive: true }));

function write(kind: "meta" | "tls", name: string, file: string, text: string): void {
  const id = new Bun.CryptoHasher("sha256").update(name).digest("hex");
  const folder = join(directory, "contexts", kind, id, kind === "tls" ? "docker" : "");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, file), text);
}

describe("contexts", () => {
  test("--context goes before addresses, those before DOCKER_CONTEXT and the current one", () => {
    const none = {
      flag: "",
      hasAddress: { flag: false, environment: false },
      variable: undefined,
      current: () => "current",
    };
    expect(chooseContext(none)).toBe("current");
    expect(chooseContext({ ...none, current: () => undefined })).toBe("default");
    expect(chooseContext({ ...none, variable: "v" })).toBe("v");
    const addressed = { ...none, variable: "v", hasAddress: { flag: false, environment: true } };
    expect(chooseContext(addressed)).toBe("default");
    expect(chooseContext({ ...addressed, flag: "f" })).toBe("f");
  });

  test("bring an address and certificates", () => {
    write("meta", "far", "meta.json", '{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}');
    expect(readContext(directory, "far")).toEqual({ address: "tcp://far:2376", tls: undefined });
    write("tls", "far", "ca.pem", "CA");
    expect(readContext(directory, "far").tls).toEqual({ verify: true, ca: "CA" });
  });

  test("that are not there, or are about something else, are refused", () => {
    expect(() => readContext(directory, "x")).toThrow('context "x": context not found: open ');
    write("meta", "other", "meta.json", '{"Name":"other","Endpoints":{}}');
    expect(() => readContext(directory, "other")).toThrow("cannot find docker endpoint in context");
  });
});
