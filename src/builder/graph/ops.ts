/**
 * The build graph: low-level build definitions (LLB) as values. One vertex is one pure description of work; nothing in
 * here acts, and nothing knows of Dockerfiles. Names and meanings are those of BuildKit's `solver/pb/ops.proto`, so that
 * a definition that a client sends and one that our frontend makes are the same thing.
 */
import type { Platform } from "../../core/content.ts";
import type { Digest } from "../../core/ids.ts";

/** One output of a vertex. */
export interface Edge {
  /** The vertex: sha256 of its op's bytes. */
  readonly digest: Digest;
  /** Which of its outputs, from 0. */
  readonly index: number;
}

/** A vertex. What it does is told by `type`. */
export interface Op {
  readonly inputs: readonly Edge[];
  readonly op: ExecOp | SourceOp | FileOp | BuildOp | MergeOp | DiffOp | PassthroughOp;
  readonly platform?: Platform;
  /** Of workers; there is one. */
  readonly constraints?: readonly string[];
}

export type OpType = Op["op"]["type"];

/** Index of an input where there is none: an empty file system; index of an output: it is thrown away. */
export const NONE = -1;

export interface ExecOp {
  readonly type: "exec";
  readonly meta: Meta;
  readonly mounts: readonly Mount[];
  readonly network: "sandbox" | "host" | "none";
  /**
   * A network of the engine, by name or id, in place of the sandbox's. Ours: it is no part of LLB, and of no cache key
   * of BuildKit's.
   */
  readonly networkName?: string;
  readonly security: "sandbox" | "insecure";
  readonly secretEnv: readonly SecretEnv[];
  readonly cdiDevices: readonly { readonly name: string; readonly optional: boolean }[];
}

export interface Meta {
  readonly args: readonly string[];
  /** `NAME=value` */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly proxyEnv?: ProxyEnv;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly hostname: string;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string;
  readonly removeMountStubsRecursive: boolean;
  /** Exit codes that are no failure; empty: 0 alone. */
  readonly validExitCodes: readonly number[];
}

export interface ProxyEnv {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly ftpProxy: string;
  readonly noProxy: string;
  readonly allProxy: string;
}

export interface SecretEnv {
  readonly id: string;
  readonly name: string;
  readonly optional: boolean;
}

export interface Mount {
  /** Index into the op's inputs, or `NONE` for an empty one. */
  readonly input: number;
  /** Path within the input. */
  readonly selector: string;
  readonly dest: string;
  /** Index of the output that it becomes, or `NONE`. */
  readonly output: number;
  readonly readonly: boolean;
  readonly mountType: "bind" | "secret" | "ssh" | "cache" | "tmpfs";
  /** Bytes; 0: no limit of its own. */
  readonly tmpfs?: { readonly size: number };
  readonly cache?: { readonly id: string; readonly sharing: "shared" | "private" | "locked" };
  readonly secret?: HandedMount;
  readonly ssh?: HandedMount;
  /** Of a gateway container: the result that is mounted. */
  readonly resultId?: string;
  readonly contentCache: "default" | "on" | "off";
}

/** A secret or an agent's socket that the client hands in. */
export interface HandedMount {
  readonly id: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly optional: boolean;
}

export interface SourceOp {
  readonly type: "source";
  /** `docker-image://…`, `local://…`, `git://…`, `https://…`, `oci-layout://…` */
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface FileOp {
  readonly type: "file";
  readonly actions: readonly FileAction[];
}

/** Inputs count the op's inputs first, then the results of earlier actions. */
export interface FileAction {
  readonly input: number;
  readonly secondaryInput: number;
  /** The output that its result becomes, or `NONE`. */
  readonly output: number;
  readonly action: CopyAction | MkfileAction | MkdirAction | RmAction | SymlinkAction;
}

export interface CopyAction {
  readonly type: "copy";
  readonly src: string;
  readonly dest: string;
  readonly owner?: ChownOpt;
  /** Permission bits, or −1: as the source. */
  readonly mode: number;
  readonly followSymlink: boolean;
  readonly dirCopyContents: boolean;
  readonly attemptUnpackDockerCompatibility: boolean;
  readonly createDestPath: boolean;
  readonly allowWildcard: boolean;
  readonly allowEmptyWildcard: boolean;
  /** Nanoseconds since the epoch, or −1: as the source. */
  readonly timestamp: bigint;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly alwaysReplaceExistingDestPaths: boolean;
  /** Symbolic form (`u+x,go-w`); empty: `mode` counts. */
  readonly modeStr: string;
  readonly requiredPaths: readonly string[];
}

export interface MkfileAction {
  readonly type: "mkfile";
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
  readonly owner?: ChownOpt;
  readonly timestamp: bigint;
}

export interface MkdirAction {
  readonly type: "mkdir";
  readonly path: string;
  readonly mode: number;
  readonly makeParents: boolean;
  readonly owner?: ChownOpt;
  readonly timestamp: bigint;
}

export interface RmAction {
  readonly type: "rm";
  readonly path: string;
  readonly allowNotFound: boolean;
  readonly allowWildcard: boolean;
}

export interface SymlinkAction {
  readonly type: "symlink";
  readonly oldpath: string;
  readonly newpath: string;
  readonly owner?: ChownOpt;
  readonly timestamp: bigint;
}

export interface ChownOpt {
  readonly user?: UserOpt;
  readonly group?: UserOpt;
}

/** A name is looked up in the passwd or group file of that input. */
export type UserOpt =
  | { readonly by: "id"; readonly id: number }
  | { readonly by: "name"; readonly name: string; readonly input: number };

export interface MergeOp {
  readonly type: "merge";
  /** Indexes into the op's inputs, lowest first; `NONE` is skipped. */
  readonly inputs: readonly number[];
}

export interface DiffOp {
  readonly type: "diff";
  readonly lower: number;
  readonly upper: number;
}

/** Solves a definition that another vertex made. */
export interface BuildOp {
  readonly type: "build";
  /** Index of the frontend's input, or `NONE`: plain LLB. */
  readonly builder: number;
  readonly inputs: Readonly<Record<string, number>>;
  readonly def?: Uint8Array;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface PassthroughOp {
  readonly type: "passthrough";
  readonly id: string;
  readonly outputs: readonly number[];
}

/** Beside an op, and no part of its digest. */
export interface OpMetadata {
  readonly ignoreCache: boolean;
  /** `llb.customname` is the name that clients show. */
  readonly description: Readonly<Record<string, string>>;
  readonly exportCache?: boolean;
  readonly caps: Readonly<Record<string, boolean>>;
  readonly progressGroup?: ProgressGroup;
  readonly linuxResources?: LinuxResources;
}

export interface ProgressGroup {
  readonly id: string;
  readonly name: string;
  readonly weak: boolean;
}

export interface LinuxResources {
  readonly memory?: number;
  readonly memorySwap?: number;
  readonly cpuShares?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
}
