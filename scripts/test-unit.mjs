/**
 * `npm run test:unit`: the tests beside the sources that need neither root nor any program of the host, in seconds. A
 * test that puts drivers together or calls the kernel needs root, which its imports show; it is left out and counted.
 * Arguments go to Bun's test runner: files, `--watch`, `-t NAME`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { bunBinary, ensureModules, repository, run, say } from "./lib/host.mjs";

const NEEDS_ROOT =
  /from "[^"]*\/(drivers|linux|support)\/|from "[^"]*\.contract\.ts"|^src\/(drivers|linux)\//m;

await ensureModules();
const all = readdirSync(join(repository, "src"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
  .map((entry) => relative(repository, join(entry.parentPath ?? entry.path, entry.name)))
  .sort();
const left = all.filter(
  (file) => NEEDS_ROOT.test(file) || NEEDS_ROOT.test(readFileSync(join(repository, file), "utf8")),
);
const mine = all.filter((file) => !left.includes(file));

const given = process.argv.slice(2);
const named = given.filter((argument) => /\.test\.ts$/.test(argument));
const others = given.filter((argument) => !named.includes(argument));
const code = await run(bunBinary(), [
  "test",
  ...others,
  ...(named.length > 0 ? named : mine.map((file) => `./${file}`)),
]);
if (named.length === 0) say(`${left.length} of ${all.length} files need root: npm test runs them.`);
process.exit(code);
