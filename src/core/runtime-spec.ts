/**
 * The OCI runtime specification's config.json, as far as the engine writes it. Types only.
 * @see https://github.com/opencontainers/runtime-spec/blob/main/config.md
 */

export interface RuntimeSpec {
  readonly ociVersion: string;
  readonly process: RuntimeProcess;
  readonly root: { readonly path: string; readonly readonly?: boolean };
  readonly hostname?: string;
  readonly domainname?: string;
  readonly mounts: readonly RuntimeMount[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux: RuntimeLinux;
}

export interface RuntimeProcess {
  readonly terminal: boolean;
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly user: {
    readonly uid: number;
    readonly gid: number;
    readonly additionalGids?: readonly number[];
    readonly umask?: number;
  };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities?: Readonly<
    Record<"bounding" | "effective" | "inheritable" | "permitted" | "ambient", readonly string[]>
  >;
  readonly rlimits?: readonly {
    readonly type: string;
    readonly hard: number | bigint;
    readonly soft: number | bigint;
  }[];
  readonly noNewPrivileges?: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  readonly oomScoreAdj?: number;
}

export interface RuntimeMount {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

export interface RuntimeDevice {
  readonly type: "c" | "b" | "p" | "u";
  readonly path: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface RuntimeDeviceRule {
  readonly allow: boolean;
  readonly type?: "a" | "c" | "b";
  readonly major?: number;
  readonly minor?: number;
  readonly access?: string;
}

export interface RuntimeResources {
  readonly devices?: readonly RuntimeDeviceRule[];
  readonly memory?: {
    readonly limit?: number | bigint;
    readonly reservation?: number | bigint;
    readonly swap?: number | bigint;
    readonly kernel?: number;
    readonly swappiness?: number;
    readonly disableOOMKiller?: boolean;
  };
  readonly cpu?: {
    readonly shares?: number;
    readonly quota?: number;
    readonly period?: number;
    readonly realtimeRuntime?: number;
    readonly realtimePeriod?: number;
    readonly cpus?: string;
    readonly mems?: string;
  };
  readonly pids?: { readonly limit: number };
  readonly blockIO?: Readonly<Record<string, unknown>>;
  readonly unified?: Readonly<Record<string, string>>;
}

export interface RuntimeLinux {
  readonly uidMappings?: readonly { containerID: number; hostID: number; size: number }[];
  readonly gidMappings?: readonly { containerID: number; hostID: number; size: number }[];
  readonly sysctl?: Readonly<Record<string, string>>;
  readonly resources?: RuntimeResources;
  readonly cgroupsPath: string;
  readonly namespaces: readonly {
    readonly type: "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup";
    readonly path?: string;
  }[];
  readonly devices?: readonly RuntimeDevice[];
  readonly seccomp?: object;
  readonly rootfsPropagation?: string;
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly mountLabel?: string;
}
