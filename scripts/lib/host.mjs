/**
 * What the scripts share: telling what is done, running programs, and bringing the machine to the state that a
 * step needs (system packages, npm packages, the executable). Every step looks first and does nothing if all is there.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const executable = join(repository, "dist/gantry");

/** What the engine runs with. A name with a slash is a file to look for instead of a program. */
export const enginePackages = {
  crun: "crun",
  conmon: "conmon",
  nft: "nftables",
  ip: "iproute2",
  igzip: "isal",
  zstd: "zstd",
  xz: "xz-utils",
  bzip2: "bzip2",
  tar: "tar",
  nsenter: "util-linux",
  ps: "procps",
  "/usr/bin/tini-static": "tini",
  "/usr/share/containers/seccomp.json": "golang-github-containers-common",
  "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
};

/** The first image of a new engine is made of it. */
export const imagePackages = { busybox: "busybox" };

export function say(text) {
  process.stdout.write(`${text}\n`);
}

/** Ends the script with a sentence for the user instead of a stack. */
export function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

/** The command that the user gave. */
export function again() {
  const script = process.env.npm_lifecycle_event ?? "start";
  return ["start", "stop", "test"].includes(script) ? `npm ${script}` : `npm run ${script}`;
}

/** Blocks: for scripts that have nothing else to do. */
export function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

export function requireRoot() {
  if (process.platform !== "linux")
    fail("Gantry runs containers with the Linux kernel: use a Linux machine.");
  if (process.getuid?.() !== 0) fail(`Containers need root: run this as root (sudo ${again()}).`);
}

/** The path of a program on PATH or in sbin, or undefined. */
export function findProgram(name) {
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs a program with its output passed through. @returns exit code; 128 + n for a signal is not told apart from -1 */
export function run(command, args, options = {}) {
  return new Promise((done, broken) => {
    const child = spawn(command, args, { stdio: "inherit", cwd: repository, ...options });
    child.on("error", broken);
    child.on("close", (code) => done(code ?? -1));
  });
}

/** Runs a program and gives its output; ends the script if it fails. */
export function output(command, args, options = {}) {
  const result = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    cwd: repository,
    ...options,
  });
  if (result.error) fail(`${command}: ${result.error.message}`);
  if (result.status !== 0) fail(`${command} ${args.join(" ")} failed (${result.status}):\n${result.stderr}`);
  return result.stdout;
}

/** `npm ci` if what is installed is not what the lock file says. */
export async function ensureModules() {
  if (modulesMatchLock()) return;
  say("Installing the pinned npm packages …");
  if ((await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"])) !== 0)
    fail(
      `The npm packages could not be installed: npm ci says why above. Mend that, then run ${again()} again.`,
    );
}

function modulesMatchLock() {
  const installedFile = join(repository, "node_modules/.package-lock.json");
  if (!existsSync(installedFile)) return false;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  const locked = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8")).packages;
  return Object.entries(locked).every(
    ([path, entry]) => path === "" || entry.optional || installed[path]?.version === entry.version,
  );
}

/** The pinned Bun; found also where npm was told not to run install scripts. */
export function bunBinary() {
  const scope = join(repository, "node_modules/@oven");
  const arch = process.arch === "arm64" ? "aarch64" : "x64";
  const platforms = existsSync(scope)
    ? readdirSync(scope).filter((name) => name.startsWith(`bun-linux-${arch}`) && !/musl|android/.test(name))
    : [];
  const candidates = [
    ...platforms.map((name) => join(scope, name, "bin/bun")),
    join(repository, "node_modules/bun/bin/bun.exe"),
    join(repository, "node_modules/bun/bin/bun"),
  ];
  const found = candidates.find((path) => isExecutable(path) && works(path));
  if (!found)
    fail(
      `No working Bun in node_modules (looked at ${candidates.join(", ")}). Remove node_modules, then run ${again()} again.`,
    );
  return found;
}

function works(path) {
  return spawnSync(path, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Builds dist/gantry if its sources changed since it was built. @returns whether it was built */
export async function ensureExecutable() {
  const stamp = join(repository, "dist/gantry.sources");
  const now = sourcesHash();
  if (existsSync(executable) && existsSync(stamp) && readFileSync(stamp, "utf8") === now) return false;
  say("Building dist/gantry …");
  await buildExecutable();
  writeFileSync(stamp, now);
  return true;
}

/**
 * One file with the runtime in it. Bytecode and lazily evaluated roles are what make the client start in
 * milliseconds: a role that is not imported at run time is neither parsed nor evaluated. Splitting matters: in a single
 * chunk the imports of platform modules rise to the top, and a client would load node:http, bun:sqlite and all the rest.
 */
export async function buildExecutable() {
  mkdirSync(dirname(executable), { recursive: true });
  const args = ["build", "--compile", "--bytecode", "--format=esm", "--splitting", "--minify-syntax"];
  const fresh = `${executable}.new`;
  const code = await run(bunBinary(), [...args, ...buildFacts(), "src/main.ts", "--outfile", fresh], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (code !== 0)
    fail(`dist/gantry could not be built: the lines above say why. Mend that, then run ${again()} again.`);
  // A running engine keeps the file that it was started from.
  renameSync(fresh, executable);
}

/** What `gantry version` says of the build: the commit and its time, so that the same sources give the same file. */
function buildFacts() {
  const shown = spawnSync("git", ["-C", repository, "log", "-1", "--format=%h %cI"], { encoding: "utf8" });
  const [commit, time] = shown.status === 0 ? shown.stdout.trim().split(" ") : [];
  if (!commit || !time) return [];
  const define = (name, value) => ["--define", `${name}=${JSON.stringify(value)}`];
  return [...define("GANTRY_COMMIT", commit), ...define("GANTRY_BUILD_TIME", time)];
}

function sourcesHash() {
  const hash = createHash("sha256");
  const files = readdirSync(join(repository, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(test|contract)\.ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  for (const file of [...files, "package-lock.json", "tsconfig.json", "scripts/lib/host.mjs"]) {
    const path = resolve(repository, file);
    hash
      .update(`${relative(repository, path)}\0`)
      .update(readFileSync(path))
      .update("\0");
  }
  return hash.digest("hex");
}
