/** The flags that `run` and `create` share: what a container is made of. */
import { detachKeysFlag, disableContentTrustFlag, platformFlag } from "../flags/common-flags.ts";
import {
  bool,
  custom,
  customList,
  type Flag,
  type FlagValues,
  integer,
  list,
  map,
  string,
} from "../flags/flags.ts";
import { parseBytes, parseDuration } from "../values/units.ts";
import {
  checkAddress,
  checkAttach,
  checkDeviceCgroupRule,
  checkDnsSearch,
  checkExtraHost,
  checkLink,
  checkSysctl,
  parseBytesRate,
  parseCpus,
  parseDeviceWeight,
  parseOperationsRate,
  parseUlimit,
  type Ulimit,
} from "./checks.ts";
import { parseGpus } from "./gpus.ts";
import { checkEnvironment, checkLabel } from "./key-values.ts";
import { parseMount } from "./mounts.ts";
import { type Attachment, parseAttachment } from "./networks.ts";

const bytes = (usage: string, short?: string): Flag<number> =>
  custom({ usage, type: "bytes", initial: 0, parse: parseBytes, ...(short !== undefined && { short }) });
const duration = (usage: string): Flag<number> =>
  custom({ usage, type: "duration", initial: 0, parse: parseDuration });
const network = (usage: string): Flag<readonly Attachment[]> =>
  customList({ usage, type: "network", parse: parseAttachment });

const CGROUPNS_HELP = `Cgroup namespace to use (host|private)
'host':    Run the container in the Docker host's cgroup namespace
'private': Run the container in its own private cgroup namespace
'':        Use the cgroup namespace as configured by the
           default-cgroupns-mode option on the daemon (default)`;

export const containerFlags = {
  "add-host": list({ usage: "Add a custom host-to-IP mapping (host:ip)", check: checkExtraHost }),
  annotation: map({ usage: "Add an annotation to the container (passed through to the OCI runtime)" }),
  attach: list({ short: "a", usage: "Attach to STDIN, STDOUT or STDERR", check: checkAttach }),
  "blkio-weight": integer({
    usage: "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    type: "uint16",
    bits: 16,
    unsigned: true,
  }),
  "blkio-weight-device": customList({
    usage: "Block IO weight (relative device weight)",
    type: "list",
    parse: parseDeviceWeight,
    defaultText: "[]",
  }),
  "cap-add": list({ usage: "Add Linux capabilities" }),
  "cap-drop": list({ usage: "Drop Linux capabilities" }),
  "cgroup-parent": string({ usage: "Optional parent cgroup for the container" }),
  cgroupns: string({ usage: CGROUPNS_HELP }),
  cidfile: string({ usage: "Write the container ID to the file" }),
  "cpu-period": integer({ usage: "Limit CPU CFS (Completely Fair Scheduler) period" }),
  "cpu-quota": integer({ usage: "Limit CPU CFS (Completely Fair Scheduler) quota" }),
  "cpu-rt-period": integer({ usage: "Limit CPU real-time period in microseconds" }),
  "cpu-rt-runtime": integer({ usage: "Limit CPU real-time runtime in microseconds" }),
  "cpu-shares": integer({ short: "c", usage: "CPU shares (relative weight)" }),
  cpus: custom({ usage: "Number of CPUs", type: "decimal", initial: 0, parse: parseCpus }),
  "cpuset-cpus": string({ usage: "CPUs in which to allow execution (0-3, 0,1)" }),
  "cpuset-mems": string({ usage: "MEMs in which to allow execution (0-3, 0,1)" }),
  device: list({ usage: "Add a host device to the container" }),
  "device-cgroup-rule": list({
    usage: "Add a rule to the cgroup allowed devices list",
    check: checkDeviceCgroupRule,
  }),
  "device-read-bps": customList({
    usage: "Limit read rate (bytes per second) from a device",
    type: "list",
    parse: parseBytesRate,
    defaultText: "[]",
  }),
  "device-read-iops": customList({
    usage: "Limit read rate (IO per second) from a device",
    type: "list",
    parse: parseOperationsRate,
    defaultText: "[]",
  }),
  "device-write-bps": customList({
    usage: "Limit write rate (bytes per second) to a device",
    type: "list",
    parse: parseBytesRate,
    defaultText: "[]",
  }),
  "device-write-iops": customList({
    usage: "Limit write rate (IO per second) to a device",
    type: "list",
    parse: parseOperationsRate,
    defaultText: "[]",
  }),
  "disable-content-trust": disableContentTrustFlag,
  dns: list({ usage: "Set custom DNS servers", check: checkAddress }),
  "dns-opt": list({ usage: "Set DNS options", hidden: true, aliasOf: "dns-option" }),
  "dns-option": list({ usage: "Set DNS options" }),
  "dns-search": list({ usage: "Set custom DNS search domains", check: checkDnsSearch }),
  domainname: string({ usage: "Container NIS domain name" }),
  entrypoint: string({ usage: "Overwrite the default ENTRYPOINT of the image" }),
  env: list({ short: "e", usage: "Set environment variables", check: checkEnvironment }),
  "env-file": list({ usage: "Read in a file of environment variables" }),
  expose: list({ usage: "Expose a port or a range of ports" }),
  gpus: customList({
    usage: "GPU devices to add to the container ('all' to pass all GPUs)",
    type: "gpu-request",
    parse: parseGpus,
  }),
  "group-add": list({ usage: "Add additional groups to join" }),
  "health-cmd": string({ usage: "Command to run to check health" }),
  "health-interval": duration("Time between running the check (ms|s|m|h) (default 0s)"),
  "health-retries": integer({ usage: "Consecutive failures needed to report unhealthy" }),
  "health-start-interval": duration(
    "Time between running the check during the start period (ms|s|m|h) (default 0s)",
  ),
  "health-start-period": duration(
    "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
  ),
  "health-timeout": duration("Maximum time to allow one check to run (ms|s|m|h) (default 0s)"),
  help: bool({ usage: "Print usage" }),
  hostname: string({ short: "h", usage: "Container host name" }),
  init: bool({ usage: "Run an init inside the container that forwards signals and reaps processes" }),
  interactive: bool({ short: "i", usage: "Keep STDIN open even if not attached" }),
  ip: string({ usage: "IPv4 address (e.g., 172.30.100.104)" }),
  ip6: string({ usage: "IPv6 address (e.g., 2001:db8::33)" }),
  ipc: string({ usage: "IPC mode to use" }),
  isolation: string({ usage: "Container isolation technology" }),
  "kernel-memory": bytes("Kernel memory limit"),
  label: list({ short: "l", usage: "Set meta data on a container", check: checkLabel }),
  "label-file": list({ usage: "Read in a line delimited file of labels" }),
  link: list({ usage: "Add link to another container", check: checkLink }),
  "link-local-ip": list({ usage: "Container IPv4/IPv6 link-local addresses" }),
  "log-driver": string({ usage: "Logging driver for the container" }),
  "log-opt": list({ usage: "Log driver options" }),
  "mac-address": string({ usage: "Container MAC address (e.g., 92:d0:c6:0a:29:33)" }),
  memory: bytes("Memory limit", "m"),
  "memory-reservation": bytes("Memory soft limit"),
  "memory-swap": custom({
    usage: "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
    type: "bytes",
    initial: 0,
    parse: (text) => (text === "-1" ? -1 : parseBytes(text)),
  }),
  "memory-swappiness": integer({ usage: "Tune container memory swappiness (0 to 100)", initial: -1 }),
  mount: customList({
    usage: "Attach a filesystem mount to the container",
    type: "mount",
    parse: parseMount,
  }),
  name: string({ usage: "Assign a name to the container" }),
  net: { ...network("Connect a container to a network"), hidden: true, aliasOf: "network" },
  "net-alias": list({
    usage: "Add network-scoped alias for the container",
    hidden: true,
    aliasOf: "network-alias",
  }),
  network: network("Connect a container to a network"),
  "network-alias": list({ usage: "Add network-scoped alias for the container" }),
  "no-healthcheck": bool({ usage: "Disable any container-specified HEALTHCHECK" }),
  "oom-kill-disable": bool({ usage: "Disable OOM Killer" }),
  "oom-score-adj": integer({ usage: "Tune host's OOM preferences (-1000 to 1000)" }),
  pid: string({ usage: "PID namespace to use" }),
  "pids-limit": integer({ usage: "Tune container pids limit (set -1 for unlimited)" }),
  platform: platformFlag,
  privileged: bool({ usage: "Give extended privileges to this container" }),
  publish: list({ short: "p", usage: "Publish a container's port(s) to the host" }),
  "publish-all": bool({ short: "P", usage: "Publish all exposed ports to random ports" }),
  quiet: bool({ short: "q", usage: "Suppress the pull output" }),
  "read-only": bool({ usage: "Mount the container's root filesystem as read only" }),
  restart: string({ usage: "Restart policy to apply when a container exits", initial: "no" }),
  rm: bool({
    usage: "Automatically remove the container and its associated anonymous volumes when it exits",
  }),
  runtime: string({ usage: "Runtime to use for this container" }),
  "security-opt": list({ usage: "Security Options" }),
  "shm-size": bytes("Size of /dev/shm"),
  "stop-signal": string({ usage: "Signal to stop the container" }),
  "stop-timeout": integer({ usage: "Timeout (in seconds) to stop a container" }),
  "storage-opt": list({ usage: "Storage driver options for the container" }),
  sysctl: map({ usage: "Sysctl options", check: checkSysctl }),
  tmpfs: list({ usage: "Mount a tmpfs directory" }),
  tty: bool({ short: "t", usage: "Allocate a pseudo-TTY" }),
  ulimit: {
    usage: "Ulimit options",
    type: "ulimit",
    initial: () => [],
    take: (ulimits: readonly Ulimit[], text: string) => {
      const ulimit = parseUlimit(text);
      return [...ulimits.filter(({ Name }) => Name !== ulimit.Name), ulimit];
    },
    defaultText: "[]",
  } satisfies Flag<readonly Ulimit[]>,
  "use-api-socket": bool({ usage: "Bind mount Docker API socket and required auth" }),
  user: string({ short: "u", usage: "Username or UID (format: <name|uid>[:<group|gid>])" }),
  userns: string({ usage: "User namespace to use" }),
  uts: string({ usage: "UTS namespace to use" }),
  volume: list({ short: "v", usage: "Bind mount a volume" }),
  "volume-driver": string({ usage: "Optional volume driver for the container" }),
  "volumes-from": list({ usage: "Mount volumes from the specified container(s)" }),
  workdir: string({ short: "w", usage: "Working directory inside the container" }),
} as const;

const pullFlag = (verb: string) =>
  string({ usage: `Pull image before ${verb} ("always", "missing", "never")`, initial: "missing" });

export const createFlags = { ...containerFlags, pull: pullFlag("creating") };

export const runFlags = {
  ...containerFlags,
  detach: bool({ short: "d", usage: "Run container in background and print container ID" }),
  "detach-keys": detachKeysFlag,
  pull: pullFlag("running"),
  "sig-proxy": bool({ usage: "Proxy received signals to the process", initial: true }),
};

export type ContainerFlagValues = FlagValues<typeof createFlags>;
