/** The layer check itself: each kind of forbidden edge must be seen, `import type` included. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const repository = resolve(import.meta.dir, "../..");
const scratch = mkdtempSync(join(tmpdir(), "gantry-layers-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let count = 0;

/** Names of the violated rules of a source tree given as path → content. */
async function violations(files: Record<string, string>): Promise<string[]> {
  const root = join(scratch, String(count++));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const cruise = Bun.spawn(
    [
      "node",
      join(repository, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs"),
      "--config",
      join(repository, ".dependency-cruiser.cjs"),
      "--output-type",
      "json",
      "src",
    ],
    { cwd: root, stdout: "pipe", stderr: "inherit" },
  );
  const report = (await new Response(cruise.stdout).json()) as {
    summary: { violations: { rule: { name: string } }[] };
  };
  return [...new Set(report.summary.violations.map((violation) => violation.rule.name))].sort();
}

const leaf = "export type Thing = string;\nexport const thing = 1;\n";

test("an edge of the table passes", async () => {
  const found = await violations({
    "src/engine/use.ts": 'import { thing } from "../core/port.ts";\nexport const used = thing;\n',
    "src/core/port.ts": leaf,
  });
  expect(found).toEqual([]);
});

test("a use case that imports a driver fails", async () => {
  const found = await violations({
    "src/engine/use.ts": 'import { thing } from "../drivers/disk/disk.ts";\nexport const used = thing;\n',
    "src/drivers/disk/disk.ts": leaf,
  });
  expect(found).toEqual(["engine-may-import-core-base-api"]);
});

test("a forbidden edge of types alone fails as well", async () => {
  const found = await violations({
    "src/engine/use.ts": 'import type { Thing } from "../linux/mounts.ts";\nexport type Used = Thing;\n',
    "src/linux/mounts.ts": leaf,
  });
  expect(found).toEqual(["engine-may-import-core-base-api"]);
});

test("code of a room of which only types may be used fails, its types pass", async () => {
  const types = 'import type { Thing } from "../api/types.ts";\nexport type Used = Thing;\n';
  const code = 'import { thing } from "../api/types.ts";\nexport const used = thing;\n';
  expect(await violations({ "src/core/use.ts": types, "src/api/types.ts": leaf })).toEqual([]);
  expect(await violations({ "src/core/use.ts": code, "src/api/types.ts": leaf })).toEqual([
    "core-uses-types-of-api-only",
  ]);
});

test("a cycle of types alone fails", async () => {
  const found = await violations({
    "src/core/a.ts": 'import type { B } from "./b.ts";\nexport type A = B | 1;\n',
    "src/core/b.ts": 'import type { A } from "./a.ts";\nexport type B = A | 2;\n',
  });
  expect(found).toEqual(["no-cycles"]);
});

test("one driver that imports another fails", async () => {
  const found = await violations({
    "src/drivers/a/a.ts": 'import { thing } from "../b/b.ts";\nexport const used = thing;\n',
    "src/drivers/b/b.ts": leaf,
  });
  expect(found).toEqual(["drivers-do-not-know-one-another"]);
});

test("bun:ffi outside of linux/ and bun:sqlite outside of its driver fail", async () => {
  const found = await violations({
    "src/base/calls.ts": 'import { dlopen } from "bun:ffi";\nexport const open = dlopen;\n',
    "src/core/db.ts": 'import { Database } from "bun:sqlite";\nexport const open = Database;\n',
    "src/linux/calls.ts": 'import { dlopen } from "bun:ffi";\nexport const open = dlopen;\n',
  });
  expect(found).toEqual(["ffi-in-linux-only", "sqlite-in-its-driver-only"]);
});

test("nobody imports roles, and main imports nothing else", async () => {
  const found = await violations({
    "src/main.ts": 'import { thing } from "./base/a.ts";\nexport const used = thing;\n',
    "src/base/a.ts": leaf,
    "src/cli/a.ts": 'import type { Thing } from "../roles/daemon.ts";\nexport type Used = Thing;\n',
    "src/roles/daemon.ts": leaf,
  });
  expect(found).toContain("main-loads-roles-alone");
  expect(found).toContain("nobody-imports-roles");
});

test("a file that is not there fails", async () => {
  expect(await violations({ "src/base/a.ts": 'export * from "./gone.ts";\n' })).toEqual([
    "every-import-exists",
  ]);
});
