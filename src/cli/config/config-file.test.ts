import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigFile, HUB_CREDENTIALS_KEY } from "./config-file.ts";

let directory: string;
let warnings: string[];
let path: string;
const open = (text?: string): ConfigFile => {
  if (text !== undefined) writeFileSync(path, text);
  return new ConfigFile(directory, (warning) => warnings.push(warning));
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-config-"));
  path = join(directory, "config.json");
  warnings = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("the user's settings", () => {
  test("are empty for a file that is missing or empty", () => {
    expect(open().settings).toEqual({});
    expect(open("").settings).toEqual({});
    expect(warnings).toEqual([]);
  });

  test("are empty for a file that is broken, with one warning, and the file stays as it is", async () => {
    const config = open("{bad");
    expect([config.settings, config.settings]).toEqual([{}, {}]);
    expect(warnings).toEqual([
      expect.stringContaining(`WARNING: Error parsing config file (${path}): `) as unknown as string,
    ]);
    await expect(config.storeCredentials("x", { username: "u", password: "p" })).rejects.toThrow("parsing");
    expect(readFileSync(path, "utf8")).toBe("{bad");
  });

  test("are rewritten where a link points to, with the mode that they had", async () => {
    const target = join(directory, "real.json");
    writeFileSync(target, "{}", { mode: 0o644 });
    symlinkSync("real.json", path);
    await open().storeCredentials("x", { username: "u", password: "p" });
    expect(lstatSync(path).isSymbolicLink()).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o644);
    expect((JSON.parse(readFileSync(target, "utf8")) as { auths: object }).auths).toHaveProperty("x");
  });

  test("name a helper for a registry by its exact key, and the file by an empty name", async () => {
    const auth = Buffer.from("u:p").toString("base64");
    const config = open(
      JSON.stringify({
        auths: { [HUB_CREDENTIALS_KEY]: { auth }, other: { auth } },
        credsStore: "gantry-test-missing",
        credHelpers: { [HUB_CREDENTIALS_KEY]: "", "index.docker.io": "gantry-test-missing" },
      }),
    );
    expect(await config.findCredentials(HUB_CREDENTIALS_KEY)).toMatchObject({ username: "u" });
    await expect(config.findCredentials("other")).rejects.toThrow("docker-credential-gantry-test-missing");
  });
});
