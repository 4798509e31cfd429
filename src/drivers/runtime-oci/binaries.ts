/** The programs that run containers: the OCI runtimes by their configured names, conmon, nsenter. */
import { accessSync, constants, existsSync } from "node:fs";
import { basename, join } from "node:path";
import { log } from "../../base/log.ts";
import { InvalidParameterError, messageOf, SystemError } from "../../core/errors.ts";
import type { BUILT_IN_RUNTIMES } from "../../core/runtime.ts";
import { sealedCopy } from "../../linux/sealed-copy.ts";

const SEARCH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const MONITOR_DIRECTORIES = [...SEARCH, "/usr/libexec/podman", "/usr/lib/podman", "/usr/lib/crio/bin"];

/** The environment of every program that the engine runs for a container: nothing of the daemon's own gets in. */
export const CLEAN_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: SEARCH.join(":"),
  TZ: "UTC",
  LC_ALL: "C",
};

export interface RuntimeBinary {
  readonly path: string;
  /** What to execute: a sealed copy of it where the host allows that. */
  readonly program: string;
  readonly args: readonly string[];
  /** What `--version` says it is. `other` is spoken to as runc is, through commands alone. */
  readonly kind: "crun" | "other";
  readonly version: string;
}

/** The first executable of that name; undefined if there is none. */
export function findProgram(name: string, directories: readonly string[] = SEARCH): string | undefined {
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

/** @throws SystemError telling which package to install */
export function getMonitor(): string {
  const path = findProgram("conmon", MONITOR_DIRECTORIES);
  if (path === undefined) throw new SystemError("conmon is not installed (package conmon)");
  return path;
}

export interface RuntimeConfiguration {
  readonly runtime: string;
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly args: readonly string[] }>>;
}

/** The programs that stand behind each built-in name, in order of preference. */
const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  crun: ["crun"],
  runc: ["runc"],
  "io.containerd.runc.v2": ["crun", "runc"],
} satisfies Record<(typeof BUILT_IN_RUNTIMES)[number], readonly string[]>;

/** The programs behind the names of runtimes, looked for once for what each name means. */
export class RuntimeBinaries {
  readonly #current: () => RuntimeConfiguration;
  /** By name, for the path and arguments that the name meant then. */
  readonly #known = new Map<string, { readonly meant: string; readonly binary: Promise<RuntimeBinary> }>();

  constructor(configuration: () => RuntimeConfiguration) {
    this.#current = configuration;
  }

  get #configuration(): RuntimeConfiguration {
    return this.#current();
  }

  get defaultName(): string {
    return this.#configuration.runtime;
  }

  /** Configured names and the built-in ones whose program is installed. */
  names(): string[] {
    const builtIn = Object.keys(BUILT_IN).filter((name) => name === this.defaultName || this.#locate(name));
    return [...new Set([...Object.keys(this.#configuration.runtimes), ...builtIn])];
  }

  /** Asks the program for its version once. @throws InvalidParameterError for an unknown name, SystemError if it is not installed */
  get(name = this.defaultName): Promise<RuntimeBinary> {
    const meant = JSON.stringify(this.#configuration.runtimes[name] ?? "");
    const known = this.#known.get(name);
    if (known?.meant === meant) return known.binary;
    const binary = this.#probe(name);
    this.#known.set(name, { meant, binary });
    binary.catch(() => this.#known.delete(name));
    return binary;
  }

  #locate(name: string): { path: string; args: readonly string[] } | undefined {
    const configured = this.#configuration.runtimes[name];
    if (configured) {
      const path = configured.path.includes("/") ? configured.path : findProgram(configured.path);
      return path === undefined ? undefined : { path, args: configured.args };
    }
    const programs = BUILT_IN[name] ?? [];
    // crun was asked for by default only: where it is absent, runc does.
    const accepted = name === this.defaultName && name === "crun" ? [...programs, "runc"] : programs;
    for (const program of accepted) {
      const path = findProgram(program);
      if (path !== undefined) return { path, args: [] };
    }
    return undefined;
  }

  async #probe(name: string): Promise<RuntimeBinary> {
    const known = name in this.#configuration.runtimes || name in BUILT_IN;
    if (!known)
      throw new InvalidParameterError(`unknown or invalid runtime name: ${name}`, { subject: name });
    const located = this.#locate(name);
    if (!located) {
      throw new SystemError(
        `the runtime ${name} is not installed (package ${name === "runc" ? "runc" : "crun"})`,
        {
          subject: name,
        },
      );
    }
    const { program, version } = await askVersion(located.path);
    const kind = program === "crun" ? "crun" : "other";
    return { ...located, program: kind === "crun" ? sealed(located.path) : located.path, kind, version };
  }
}

/** What a program says that it is: `crun version 1.8.1`. @throws SystemError */
export async function askVersion(path: string): Promise<{ program: string; version: string }> {
  if (!existsSync(path)) {
    throw new SystemError(`${path}: no such file or directory`, { subject: path });
  }
  const child = Bun.spawn([path, "--version"], {
    cwd: "/",
    env: { ...CLEAN_ENVIRONMENT },
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 10_000,
  });
  const [text, code] = await Promise.all([child.stdout.text(), child.exited]);
  if (code !== 0) throw new SystemError(`${path} --version failed with ${code}`, { subject: path });
  const [, program = basename(path), version = "unknown"] = /^(\S+) version (\S+)/.exec(text) ?? [];
  return { program, version };
}

/** A host that forbids executing memory (`vm.memfd_noexec`) gets the file itself: crun then protects itself. */
function sealed(path: string): string {
  try {
    const copy = sealedCopy(path);
    accessSync(copy, constants.X_OK);
    return copy;
  } catch (error) {
    log("debug", "no sealed copy of the runtime", { path, error: messageOf(error) });
    return path;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
