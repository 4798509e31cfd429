/** ExecOp: a program in the file systems of its inputs. */
import type { ContentSelector } from "../../core/build-files.ts";
import { ForbiddenError, InvalidParameterError, NotImplementedError } from "../../core/errors.ts";
import { randomId } from "../../core/ids.ts";
import { ExitError } from "../errors.ts";
import { type ExecOp, type Mount, NONE, type Op } from "../graph/ops.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { Operation, OperationContext } from "../solve/operation.ts";
import type { Output } from "../solve/output.ts";
import type { VertexReport } from "../solve/progress-log.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { openMounts } from "./exec-mounts.ts";

const HOSTNAME = "buildkitsandbox";
const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface ExecDeps {
  readonly solver: SolverDeps;
  readonly cacheMounts: CacheMounts;
}

export function execOperation(
  deps: ExecDeps,
  op: ExecOp,
  { platform, inputs }: Pick<Op, "platform" | "inputs">,
): Operation {
  check(op, inputs.length);
  return {
    selectors: selectorsOf(op, inputs.length),
    outputs: Math.max(NONE, ...op.mounts.map(({ output }) => output)) + 1,
    description: `mount / from exec ${op.meta.args.join(" ")}`,
    cacheKey: async ({ metadata }) =>
      `exec:${JSON.stringify([keyOf(op), platform ?? null, metadata?.linuxResources ?? null])}`,
    run: (context, given, report) => runExec(deps, op, { context, given, report }),
  };
}

/** @throws NotImplementedError; InvalidParameterError for what makes no sense, whoever made the graph (S09) */
function check({ meta, mounts, cdiDevices }: ExecOp, inputs: number): void {
  const device = cdiDevices.find(({ optional }) => !optional);
  if (device) {
    throw new NotImplementedError(
      `CDI devices are not implemented: ${device.name}; make the device optional, or leave out RUN --device`,
    );
  }
  if (meta.args.length === 0) throw new InvalidParameterError("invalid exec op without arguments");
  if (!mounts.some(({ dest }) => isRoot(dest)))
    throw new InvalidParameterError("invalid exec op with no rootfs mount");
  for (const { input, output, dest } of mounts) {
    if (input < NONE || input >= inputs)
      throw new InvalidParameterError(`invalid mount input ${input} of ${dest}`);
    if (output < NONE || output >= mounts.length) {
      throw new InvalidParameterError(`invalid mount output ${output} of ${dest}`);
    }
  }
}

export function isRoot(dest: string): boolean {
  return /^\/*$/.test(dest);
}

/** Proxies, addresses of hosts, the ids of shared caches, and what is mounted from where do not change a result's name. */
function keyOf(op: ExecOp): unknown {
  const { proxyEnv: _, ...meta } = op.meta;
  return {
    ...op,
    meta: { ...meta, extraHosts: meta.extraHosts.map(({ host }) => host) },
    mounts: op.mounts.map((mount) => ({
      ...mount,
      selector: "",
      ...(mount.cache && !isDefaultCache(mount) ? { cache: { id: "", sharing: "shared" } } : {}),
    })),
  };
}

function isDefaultCache({ cache, dest }: Mount): boolean {
  if (cache?.sharing !== "shared") return false;
  return cache.id === dest || cache.id.slice(cache.id.indexOf("/") + 1) === dest;
}

/** The content of what cannot be an input of later steps; of the root never. @see BuildKit ops/exec.go (getMountDeps) */
function selectorsOf(op: ExecOp, inputs: number): (ContentSelector[] | undefined)[] {
  return Array.from({ length: inputs }, (_, input) => {
    const mounts = op.mounts.filter(
      (mount) => mount.input === input && (mount.mountType === "bind" || mount.mountType === "cache"),
    );
    const byContent = mounts.every((mount) => {
      if (mount.contentCache !== "default") return mount.contentCache === "on";
      if (isRoot(mount.dest)) return false;
      return mount.output === NONE || mount.readonly || isRoot(mount.selector);
    });
    if (mounts.length === 0 || !byContent) return undefined;
    return mounts.map(({ selector }) => ({
      path: selector || "/",
      ...{ followLinks: true, wildcards: false, include: [], exclude: [], required: [] },
    }));
  });
}

async function runExec(
  { solver, cacheMounts }: ExecDeps,
  op: ExecOp,
  { context, given, report }: { context: OperationContext; given: readonly Output[]; report: VertexReport },
): Promise<Output[]> {
  const { meta } = op;
  const { signal, entitlements, metadata } = context;
  if (op.network === "host" && !entitlements.has("network.host")) {
    throw new ForbiddenError(
      "granting entitlement network.host is not allowed by build daemon configuration",
    );
  }
  if (op.security === "insecure" && !entitlements.has("security.insecure")) {
    throw new ForbiddenError(
      "granting entitlement security.insecure is not allowed by build daemon configuration",
    );
  }
  await using undo = new AsyncDisposableStack();
  const mounts = undo.use(await openMounts({ solver, cacheMounts }, op, { context, given }));
  const limits = metadata?.linuxResources;
  const { exitCode } = await solver.tasks.run(
    {
      id: randomId<string>(),
      rootfs: mounts.root,
      readonlyRoot: mounts.readonlyRoot,
      args: meta.args,
      env: [...withPath(meta.env), ...mounts.env, ...proxiesOf(op)],
      cwd: meta.cwd || "/",
      user: meta.user,
      hostname: meta.hostname || HOSTNAME,
      mounts: mounts.mounts,
      network: op.networkName ?? (op.network === "sandbox" ? "bridge" : op.network),
      extraHosts: meta.extraHosts.map(({ host, ip }) => `${host}:${ip}`),
      privileged: op.security === "insecure",
      ulimits: meta.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
      cgroupParent: meta.cgroupParent,
      ...(limits ? { limits } : {}),
    },
    { signal, onOutput: ({ stream, bytes }) => report.log(stream, bytes) },
  );
  const valid = meta.validExitCodes.length > 0 ? meta.validExitCodes : [0];
  if (!valid.includes(exitCode)) throw new ExitError(meta.args.join(" "), exitCode);
  return await mounts.commit(signal);
}

function withPath(env: readonly string[]): readonly string[] {
  return env.some((entry) => entry.startsWith("PATH=")) ? env : [DEFAULT_PATH, ...env];
}

/** In both spellings, as programs look for either. */
function proxiesOf({ meta: { proxyEnv } }: ExecOp): string[] {
  if (!proxyEnv) return [];
  const { httpProxy, httpsProxy, ftpProxy, noProxy, allProxy } = proxyEnv;
  const pairs = {
    HTTP_PROXY: httpProxy,
    HTTPS_PROXY: httpsProxy,
    FTP_PROXY: ftpProxy,
    NO_PROXY: noProxy,
    ALL_PROXY: allProxy,
  };
  return Object.entries(pairs).flatMap(([name, value]) =>
    value ? [`${name}=${value}`, `${name.toLowerCase()}=${value}`] : [],
  );
}
