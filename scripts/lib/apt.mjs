/**
 * Packages of the distribution. Only what is missing is installed, nothing that the machine has is removed or
 * replaced for it, and whoever else uses apt is waited for.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { again, fail, findProgram, output, say, sleep } from "./host.mjs";

/** So long another apt is waited for; unattended upgrades of a new machine take minutes. Milliseconds. */
const PATIENCE = 5 * 60_000;

/**
 * Installs the distro packages whose program or file is missing, those only.
 * @param {Record<string, string>} wanted program or file → package
 */
export function ensurePackages(wanted) {
  const packages = missingPackages(wanted);
  if (packages.length === 0) return;
  if (!findProgram("apt-get")) {
    fail(
      `Missing: ${packages.join(" ")}. This machine has no apt-get; install them in its own way, then run ${again()} again.`,
    );
  }
  say(`Installing ${packages.join(" ")} with apt-get …`);
  const updated = apt(["update"]);
  const installed = apt(["install", "-y", "--no-install-recommends", "--no-remove", ...packages]);
  if (installed.status === 0) return;
  const reason =
    firstError(installed.stderr) ?? firstError(updated.stderr) ?? `it ended with ${installed.status}`;
  fail(
    `apt-get could not install ${packages.join(" ")}: ${reason}\nMend that (apt-get install ${packages.join(" ")} shows more), then run ${again()} again.`,
  );
}

/** @returns the packages whose program or file is not there, each once */
export function missingPackages(wanted) {
  const missing = Object.entries(wanted).filter(([probe]) =>
    probe.includes("/") ? !existsSync(probe) : !findProgram(probe),
  );
  return [...new Set(missing.map(([, name]) => name))];
}

/**
 * Puts the files of distro packages into a directory without installing them: no service is started, and nothing of
 * the machine changes. For peers that tests run themselves.
 */
export function unpackPackages(packages, directory) {
  say(`Fetching ${packages.join(" ")} …`);
  mkdirSync(directory, { recursive: true });
  const updated = apt(["update"]);
  const fetched = apt(["download", "-o", "APT::Sandbox::User=root", ...packages], { cwd: directory });
  if (fetched.status !== 0) {
    const reason =
      firstError(fetched.stderr) ?? firstError(updated.stderr) ?? `it ended with ${fetched.status}`;
    fail(`apt-get could not fetch ${packages.join(" ")}: ${reason}\nMend that, then run ${again()} again.`);
  }
  for (const file of readdirSync(directory).filter((name) => name.endsWith(".deb"))) {
    output("dpkg-deb", ["-x", join(directory, file), directory]);
  }
}

/** Whether the distribution has a package of that name. */
export function isPackage(name) {
  const policy = spawnSync("apt-cache", ["policy", name], { encoding: "utf8", env: plainEnvironment() });
  return /Candidate: (?!\(none\))\S/.test(policy.stdout ?? "");
}

/** Starts no service and asks nothing. Ends the script only if somebody else has apt for too long. */
function apt([verb, ...args], options = {}) {
  const deadline = Date.now() + PATIENCE;
  for (let told = false; ; told = true) {
    const result = spawnSync("apt-get", [verb, "-q", ...args], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
      env: plainEnvironment(),
      ...options,
    });
    if (result.error) fail(`apt-get: ${result.error.message}`);
    const holder = result.status === 0 ? undefined : lockHolder(result.stderr);
    if (!holder) return result;
    if (Date.now() > deadline)
      fail(`apt is still in use by ${holder}. Run ${again()} again when that has ended.`);
    if (!told) say(`apt is in use by ${holder}; waiting for it to end …`);
    sleep(1_000);
  }
}

function plainEnvironment() {
  return { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1", LC_ALL: "C" };
}

/**
 * Who has the lock that apt-get did not get: `process 4711 (unattended-upgr)`; undefined if that was not it.
 * @param {string} errors what apt-get wrote to its standard error
 */
export function lockHolder(errors) {
  if (!/^E: (Could not get lock|Unable to (acquire|lock))/m.test(errors)) return undefined;
  return /held by (process \d+(?: \([^)]*\))?)/.exec(errors)?.[1] ?? "another program";
}

/** The first error in what apt-get wrote, without its mark. */
export function firstError(errors) {
  return /^E: (.*)$/m.exec(errors ?? "")?.[1];
}
