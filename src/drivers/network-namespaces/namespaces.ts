/**
 * Network namespaces of containers. Each is held by an open descriptor and, so that it outlives this process and
 * people can enter it, by a bind mount at `netns/<id>`; beside it lie the facts of the sandbox, `<id>.json`.
 * All of it is under the exec root: a reboot ends namespaces and notes together, so nothing is synced to disk.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../../base/durable.ts";
import { log } from "../../base/log.ts";
import { messageOf, SystemError } from "../../core/errors.ts";
import type { NetworkNamespace, NetworkNamespaces, SandboxFacts } from "../../core/network-driver.ts";
import { bindMount, MS, mount, unmount } from "../../linux/mounts.ts";
import { currentNamespacePath, withNewNamespace } from "../../linux/namespaces.ts";
import { encodeSetLink, RouteSocket } from "../../linux/netlink-route.ts";

const LOOPBACK_INDEX = 1;

/** @param execRoot the engine's exec root; `netns/` is made in it */
export function openNetworkNamespaces(execRoot: string): NetworkNamespaces & Disposable {
  const directory = join(execRoot, "netns");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  keepMountsPrivate(directory);
  return new NamespaceDirectory(directory);
}

/** Mounts made in here must not be copied to other mount namespaces, where they would keep a namespace alive. */
function keepMountsPrivate(directory: string): void {
  const mounted = readFileSync("/proc/self/mountinfo", "utf8").includes(` ${directory} `);
  if (!mounted) bindMount(directory, directory);
  mount({ source: "none", target: directory, flags: MS.PRIVATE });
}

class NamespaceDirectory implements NetworkNamespaces, Disposable {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get hostPath(): string {
    return `/proc/${process.pid}/ns/net`;
  }

  create(id: string): NetworkNamespace {
    const path = this.#path(id);
    try {
      this.forget(id);
      writeFileSync(path, "", { mode: 0o600 });
      const descriptor = withNewNamespace("net", () => {
        bindMount(currentNamespacePath("net"), path);
        setDefaults();
        return openSync(currentNamespacePath("net"), "r");
      });
      return new HeldNamespace(id, path, descriptor);
    } catch (error) {
      this.forget(id);
      throw new SystemError(`failed to create network namespace: ${messageOf(error)}`, {
        cause: error,
        subject: id,
      });
    }
  }

  open(id: string, pid: number): NetworkNamespace | undefined {
    const path = this.#path(id);
    const mounted = readFileSync("/proc/self/mountinfo", "utf8").includes(` ${path} `);
    try {
      if (mounted) return new HeldNamespace(id, path, openSync(path, "r"));
      const descriptor = openSync(`/proc/${pid}/ns/net`, "r");
      writeFileSync(path, "", { mode: 0o600 });
      bindMount(`/proc/self/fd/${descriptor}`, path);
      return new HeldNamespace(id, path, descriptor);
    } catch (error) {
      log("warn", "cannot open a container's network namespace", { container: id, error });
      return undefined;
    }
  }

  save(id: string, facts: SandboxFacts): void {
    replaceFile(`${this.#path(id)}.json`, JSON.stringify(facts));
  }

  load(id: string): SandboxFacts | undefined {
    try {
      const facts: SandboxFacts = JSON.parse(readFileSync(`${this.#path(id)}.json`, "utf8"));
      return facts;
    } catch {
      return undefined; // never written, or the host was rebooted
    }
  }

  reclaim(owned: ReadonlySet<string>): void {
    for (const name of readdirSync(this.#directory)) {
      const id = name.replace(/\.json(\.new)?$/, "");
      if (!owned.has(id)) this.forget(id);
      // Of one that lives: facts that were being written when the last daemon died. The former ones hold.
      else if (name.endsWith(".new")) rmSync(join(this.#directory, name), { force: true });
    }
  }

  forget(id: string): void {
    releasePath(this.#path(id));
  }

  /** Namespaces go on with their containers; without any the mount around them goes too. */
  [Symbol.dispose](): void {
    if (readdirSync(this.#directory).length === 0) unmount(this.#directory, { lazy: true });
  }

  #path(id: string): string {
    return join(this.#directory, id);
  }
}

function releasePath(path: string): void {
  unmount(path, { lazy: true });
  for (const file of [path, `${path}.json`, `${path}.json.new`]) rmSync(file, { force: true });
}

/** Runs inside of the new namespace. Links that are born in it inherit: no IPv6 unless asked for, no foreign routers. */
function setDefaults(): void {
  using route = RouteSocket.open();
  route.apply("bring loopback up", encodeSetLink(LOOPBACK_INDEX, { up: true }));
  for (const [name, value] of [
    ["disable_ipv6", "1"],
    ["accept_ra", "0"],
  ] as const) {
    try {
      writeFileSync(`/proc/sys/net/ipv6/conf/default/${name}`, value);
    } catch {
      return; // a kernel without IPv6 has nothing to switch off
    }
  }
}

class HeldNamespace implements NetworkNamespace {
  readonly id: string;
  readonly path: string;
  #descriptor: number;

  constructor(id: string, path: string, descriptor: number) {
    this.id = id;
    this.path = path;
    this.#descriptor = descriptor;
  }

  get descriptor(): number {
    if (this.#descriptor < 0) throw new SystemError("network namespace was released", { subject: this.id });
    return this.#descriptor;
  }

  /** Through `/proc`: the bind mount is not seen by a runtime in another mount namespace. */
  get openPath(): string {
    return `/proc/${process.pid}/fd/${this.descriptor}`;
  }

  /** The kernel takes links and addresses down with the last holder, in its own time: nobody waits for it. */
  [Symbol.dispose](): void {
    if (this.#descriptor < 0) return;
    releasePath(this.path);
    closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}
