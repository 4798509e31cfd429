/**
 * `npm run dev`: a daemon from the sources, with a socket, a data root and a bridge of its own, which starts again when
 * a source changes; containers go on meanwhile. What begins with `--inspect`, `--cpu-prof` or `--heap-prof` goes to the
 * runtime, everything else to the daemon: `npm run dev -- --inspect --debug`.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensurePackages } from "./lib/apt.mjs";
import { bunBinary, enginePackages, ensureModules, repository, requireRoot, say } from "./lib/host.mjs";

const directory = process.env.GANTRY_DEV_ROOT ?? "/var/lib/gantry-dev";
const runtime = "/run/gantry-dev";
const socket = join(runtime, "gantry.sock");

requireRoot();
ensurePackages(enginePackages);
await ensureModules();

const given = process.argv.slice(2);
const forRuntime = given.filter((argument) => /^--(inspect|cpu-prof|heap-prof)/.test(argument));
const forDaemon = given.filter((argument) => !forRuntime.includes(argument));
// A profile is written when the process ends: one that is started anew at each change would overwrite it.
const watch = forRuntime.some((argument) => argument.includes("-prof"))
  ? []
  : ["--watch", "--no-clear-screen"];
const daemon = [
  ["--data-root", directory],
  ["--exec-root", join(runtime, "engine")],
  ["--pidfile", join(runtime, "gantry.pid")],
  ["--host", `unix://${socket}`],
  ["--bridge", "gantrydev0"],
].flat();

say(`export DOCKER_HOST=unix://${socket}`);
const engine = spawn(
  bunBinary(),
  [...watch, ...forRuntime, join(repository, "src/main.ts"), "daemon", ...daemon, ...forDaemon],
  { stdio: "inherit", cwd: repository },
);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => engine.kill(signal));
engine.on("close", (code) => process.exit(code ?? 1));
