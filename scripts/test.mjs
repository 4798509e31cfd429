/**
 * `npm test`: sets up what tests need, runs every check, compares the machine before and after, and closes with one
 * line `N passed, N failed`. `--oracle` runs the end-to-end tests of Docker's own behaviour against dockerd instead.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "./lib/apt.mjs";
import {
  bunBinary,
  enginePackages,
  ensureExecutable,
  ensureModules,
  imagePackages,
  output,
  repository,
  requireRoot,
  run,
  say,
} from "./lib/host.mjs";
import { ensurePeers } from "./lib/peers.mjs";

const oracle = process.argv.includes("--oracle");
const only = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const totals = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

requireRoot();
ensurePackages({ ...enginePackages, ...imagePackages });
await ensureModules();
const peers = ensurePeers({ oracle });
const bun = bunBinary();
const work = join(repository, "dist/test");
rmSync(work, { recursive: true, force: true });
mkdirSync(work, { recursive: true });

const before = join(work, "before.json");
writeFileSync(before, output(bun, ["test/support/leaks.ts", "snapshot"]));

if (oracle) {
  await check("build", ensureExecutable);
  const tables = nftTables();
  await tests("end to end against dockerd", only.length > 0 ? only : ["./test/e2e/"], { GANTRY_ORACLE: "1" });
  // dockerd leaves its tables, and with them a policy that drops what others forward.
  for (const table of nftTables().filter((name) => !tables.includes(name))) {
    output("nft", ["delete", ...table.split(" ")]);
  }
} else if (only.length > 0) {
  await check("build", ensureExecutable);
  await tests("chosen tests", only);
} else {
  await checkProgram("format and lint", "@biomejs/biome/bin/biome", ["check", "."]);
  await checkProgram("types", "typescript/bin/tsc", ["--noEmit"]);
  await checkProgram("layers", "dependency-cruiser/bin/dependency-cruise.mjs", [
    "--config",
    ".dependency-cruiser.cjs",
    "src",
  ]);
  await tests("unit and contract", ["./src/"]);
  await check("build", ensureExecutable);
  await tests("end to end", ["./test/"]);
}
await check("nothing left behind", async () => {
  if ((await run(bun, ["test/support/leaks.ts", "compare", before])) !== 0)
    throw new Error("see the lines above");
});

if (failures.length > 0) say(`\nFailed:\n${failures.map((name) => `  ${name}`).join("\n")}`);
if (totals.skipped > 0) say(`${totals.skipped} skipped`);
say(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 ? 0 : 1);

/** Lines such as `table ip filter`, those of engines of our own left out. */
function nftTables() {
  const lines = output("nft", ["list", "tables"]).split("\n");
  return lines.filter((line) => line !== "" && !line.includes(" gantry-"));
}

/** A step that passes or throws. */
async function check(name, work) {
  say(`\n== ${name}`);
  try {
    await work();
    totals.passed++;
  } catch (error) {
    say(error.message);
    totals.failed++;
    failures.push(name);
  }
}

async function checkProgram(name, program, args) {
  await check(name, async () => {
    const code = await run("node", [join("node_modules", program), ...args]);
    if (code !== 0) throw new Error(`${name}: exit ${code}`);
  });
}

/** Runs Bun's tests and adds up its JUnit report; a run that dies without one counts as a failure. */
async function tests(name, paths, environment = {}) {
  say(`\n== ${name}`);
  const report = join(work, `${name.replaceAll(" ", "-")}.xml`);
  const args = ["test", "--timeout", "120000", "--reporter=junit", `--reporter-outfile=${report}`];
  const code = await run(bun, [...args, ...paths], { env: { ...process.env, ...peers, ...environment } });
  const found = existsSync(report) ? countsOf(readFileSync(report, "utf8")) : undefined;
  if (found === undefined || (code !== 0 && found.failed === 0)) {
    totals.failed++;
    failures.push(`${name}: the run ended with code ${code}`);
  }
  if (found === undefined) return;
  totals.passed += found.passed;
  totals.failed += found.failed;
  totals.skipped += found.skipped;
  failures.push(...found.failures);
}

function countsOf(xml) {
  const [head = ""] = /<testsuites[^>]*>/.exec(xml) ?? [];
  const number = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const skipped = number("skipped");
  const failed = number("failures") + number("errors");
  const failures = [...xml.matchAll(/<testcase ([^>]*[^/])>\s*<failure/g)].map(([, attributes = ""]) => {
    const attribute = (name) => new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
    return `${attribute("file")}: ${attribute("name")}`;
  });
  return { passed: number("tests") - failed - skipped, failed, skipped, failures };
}
