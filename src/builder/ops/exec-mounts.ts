/**
 * What a program of a build has mounted: its inputs, caches, secrets, agents, memory. Made before it runs and taken away
 * after, whatever happens; secrets and sockets lie in memory only.
 */
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import { randomId } from "../../core/ids.ts";
import type { RuntimeMount } from "../../core/runtime-spec.ts";
import { type ExecOp, type Mount, NONE } from "../graph/ops.ts";
import type { BuildSession } from "../session.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { OperationContext } from "../solve/operation.ts";
import { EMPTY, type Output } from "../solve/output.ts";
import { forwardAgent } from "./agents.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { openReadable, openWritable, type WritableTree } from "./trees.ts";

export interface OpenedMounts extends AsyncDisposable {
  readonly root: string;
  readonly readonlyRoot: boolean;
  readonly mounts: readonly RuntimeMount[];
  /** Secrets that are handed in as variables. */
  readonly env: readonly string[];
  /** What was written becomes the outputs. */
  commit(signal: AbortSignal): Promise<Output[]>;
}

interface Parts {
  readonly solver: SolverDeps;
  readonly cacheMounts: CacheMounts;
}

export async function openMounts(
  parts: Parts,
  op: ExecOp,
  call: { readonly context: OperationContext; readonly given: readonly Output[] },
): Promise<OpenedMounts> {
  await using undo = new AsyncDisposableStack();
  const opening = new Opening(parts, call, undo);
  let root: { path: string; readonly: boolean } | undefined;
  const mounts: RuntimeMount[] = [];
  // What lies in another comes after it.
  const ordered = [...op.mounts].sort((a, b) => depthOf(a.dest) - depthOf(b.dest));
  for (const mount of ordered) {
    if (depthOf(mount.dest) === 0) {
      const path = await opening.bind(mount);
      root = { path, readonly: mount.readonly };
    } else {
      const opened = await opening.mount(mount, op.meta.cwd);
      if (opened) mounts.push(opened);
    }
  }
  if (!root) throw new InvalidParameterError("invalid exec op with no rootfs mount");
  const env = await opening.secretVariables(op);
  const resources = undo.move();
  return {
    root: root.path,
    readonlyRoot: root.readonly,
    mounts,
    env: [...env, ...opening.variables],
    commit: (signal) => opening.commit(op, signal),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function depthOf(dest: string): number {
  return dest.split("/").filter(Boolean).length;
}

class Opening {
  readonly #parts: Parts;
  readonly #context: OperationContext;
  readonly #given: readonly Output[];
  readonly #undo: AsyncDisposableStack;
  /** By output. */
  readonly #writable = new Map<number, WritableTree>();
  readonly #directory: string;
  readonly variables: string[] = [];
  #files = 0;

  constructor(
    parts: Parts,
    { context, given }: { readonly context: OperationContext; readonly given: readonly Output[] },
    undo: AsyncDisposableStack,
  ) {
    this.#parts = parts;
    this.#context = context;
    this.#given = given;
    this.#undo = undo;
    this.#directory = join(parts.solver.memoryDirectory, randomId<string>());
  }

  async mount(mount: Mount, cwd: string): Promise<RuntimeMount | undefined> {
    const destination = posix.join("/", mount.dest.startsWith("/") ? "" : cwd, mount.dest);
    switch (mount.mountType) {
      case "bind": {
        const source = await this.bind(mount);
        return {
          destination,
          type: "bind",
          source,
          options: ["rbind", mount.readonly ? "ro" : "rw", "rprivate"],
        };
      }
      case "tmpfs": {
        const size = mount.tmpfs?.size ? [`size=${mount.tmpfs.size}`] : [];
        return { destination, type: "tmpfs", source: "tmpfs", options: ["nosuid", ...size] };
      }
      case "cache": {
        const source = await this.#cache(mount);
        return {
          destination,
          type: "bind",
          source,
          options: ["rbind", mount.readonly ? "ro" : "rw", "rprivate"],
        };
      }
      case "secret":
        return await this.#secret(mount, destination);
      case "ssh":
        return await this.#agent(mount, destination);
    }
  }

  /** A path of the host's: of the input, or what the selector names in it. */
  async bind(mount: Mount): Promise<string> {
    const input = mount.input === NONE ? EMPTY : this.#given[mount.input];
    if (!input) throw new InvalidParameterError(`invalid mount input ${mount.input} of ${mount.dest}`);
    const { solver } = this.#parts;
    const { signal } = this.#context;
    let root: string;
    if (mount.output !== NONE) {
      const tree = this.#undo.use(await openWritable(solver, input, signal));
      this.#writable.set(mount.output, tree);
      root = tree.root;
    } else if (input.kind === "directory" && !mount.readonly) {
      // Nothing may change the build's own copy: what is written is dropped.
      root = this.#undo.use(await openWritable(solver, input, signal)).root;
    } else {
      root = this.#undo.use(await openReadable(solver, input)).root;
    }
    return await this.#beneath(root, mount.selector);
  }

  /** @throws NotFoundError if the selector names nothing */
  async #beneath(root: string, selector: string): Promise<string> {
    if (/^\/*$/.test(selector)) return root;
    const found = await this.#parts.solver.roots.resolve(root, selector);
    if (found === undefined || found === "outside")
      throw new NotFoundError(`failed to stat mount source ${JSON.stringify(selector)}: not found`);
    return found.path === "/" ? root : `${root}/${found.path.replace(/^\/+/, "")}`;
  }

  async #cache(mount: Mount): Promise<string> {
    const { cacheMounts } = this.#parts;
    const lease = await cacheMounts.acquire({
      id: mount.cache?.id || mount.dest,
      dest: mount.dest,
      sharing: mount.cache?.sharing ?? "shared",
      empty: this.#context.ignoreCache,
      base: mount.input === NONE ? undefined : this.#given[mount.input],
      selector: mount.selector,
      signal: this.#context.signal,
    });
    return this.#undo.use(lease).root;
  }

  #session(): Promise<BuildSession> {
    const { sessionId, signal } = this.#context;
    return this.#parts.solver.sessions.get(sessionId, { signal });
  }

  async #readSecret(id: string, optional: boolean): Promise<Uint8Array | undefined> {
    const session = await this.#session();
    const secret = await session.secret(id, { signal: this.#context.signal });
    if (secret === undefined && !optional) throw new NotFoundError(`secret ${id}: not found`);
    return secret;
  }

  async #secret({ secret, dest }: Mount, destination: string): Promise<RuntimeMount | undefined> {
    if (!secret) throw new InvalidParameterError(`invalid secret mount of ${dest}`);
    const bytes = await this.#readSecret(secret.id, secret.optional);
    if (bytes === undefined) return undefined;
    const source = join(this.#place(), `secret-${this.#files++}`);
    writeFileSync(source, bytes, { mode: secret.mode & 0o777 });
    chownSync(source, secret.uid, secret.gid);
    return {
      destination,
      type: "bind",
      source,
      options: ["bind", "ro", "nosuid", "nodev", "noexec", "rprivate"],
    };
  }

  async #agent({ ssh, dest }: Mount, destination: string): Promise<RuntimeMount | undefined> {
    if (!ssh) throw new InvalidParameterError(`invalid ssh mount of ${dest}`);
    const session = await this.#session();
    const agent = await session.agent(ssh.id, { signal: this.#context.signal });
    if (!agent) {
      if (ssh.optional) return undefined;
      throw new NotFoundError(`unset ssh forward key ${ssh.id || "default"}`);
    }
    const source = join(this.#place(), `agent-${this.#files++}`);
    this.#undo.use(await forwardAgent(agent, source, ssh));
    return { destination, type: "bind", source, options: ["bind", "rw", "nosuid", "nodev", "rprivate"] };
  }

  async secretVariables({ secretEnv }: ExecOp): Promise<string[]> {
    const variables: string[] = [];
    for (const { id, name, optional } of secretEnv) {
      const bytes = await this.#readSecret(id, optional);
      if (bytes !== undefined) variables.push(`${name}=${new TextDecoder().decode(bytes)}`);
    }
    return variables;
  }

  /** Made when it is needed first. */
  #place(): string {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    this.#undo.defer(() => rm(this.#directory, { recursive: true, force: true }));
    return this.#directory;
  }

  async commit(op: ExecOp, signal: AbortSignal): Promise<Output[]> {
    const count = Math.max(NONE, ...op.mounts.map(({ output }) => output)) + 1;
    const outputs: Output[] = [];
    for (let index = 0; index < count; index++) {
      const tree = this.#writable.get(index);
      outputs.push(tree ? await tree.commit(signal) : EMPTY);
    }
    return outputs;
  }
}
