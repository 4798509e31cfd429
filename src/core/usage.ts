/** What a container has used of the host, as the kernel counts it, at one moment. Counters only grow. */

export interface TaskUsage {
  readonly cpu: {
    /** Nanoseconds. */
    readonly total: number;
    readonly user: number;
    readonly kernel: number;
    /** By CPU, in nanoseconds; cgroup v2 does not count that. */
    readonly perCpu: readonly number[] | undefined;
    readonly periods: number;
    readonly throttledPeriods: number;
    /** Nanoseconds. */
    readonly throttledTime: number;
  };
  readonly memory: {
    /** Bytes, page cache included. */
    readonly usage: number;
    /** Undefined where the kernel does not keep it. */
    readonly maxUsage: number | undefined;
    readonly failures: number | undefined;
    /** Bytes; undefined: none. */
    readonly limit: number | undefined;
    /** `memory.stat` as it stands. */
    readonly stats: Readonly<Record<string, number>>;
  };
  /** Undefined where the host does not count it. */
  readonly blockIo: readonly BlockIo[] | undefined;
  /** Operations in place of bytes; cgroup v1 only. */
  readonly blockOperations: readonly BlockIo[] | undefined;
  readonly pids: { readonly current: number; readonly limit: number | undefined };
  /** By interface, loopback left out, as the container's namespace names them. */
  readonly networks: Readonly<Record<string, NetworkUsage>>;
}

export interface BlockIo {
  readonly major: number;
  readonly minor: number;
  readonly operation: string;
  readonly value: number;
}

export interface NetworkUsage {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly receiveErrors: number;
  readonly receiveDrops: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sendErrors: number;
  readonly sendDrops: number;
}

/** Of the whole host, to compare with. */
export interface HostUsage {
  /** Nanoseconds of all CPUs together since boot, idle time included. */
  readonly cpu: number;
  readonly onlineCpus: number;
  /** Bytes. */
  readonly memory: number;
}
