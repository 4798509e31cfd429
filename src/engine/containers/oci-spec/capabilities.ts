/** `--cap-add`, `--cap-drop`, `--privileged`. @see moby daemon/pkg/oci/caps */
import type { HostConfig } from "../../../api/types.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { RuntimeProcess } from "../../../core/runtime-spec.ts";

/** What a container gets unless told otherwise (CapBnd 00000000a80425fb). */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

const ALL = "ALL";

/** Every capability that Linux has a name for (capabilities(7)), besides the defaults. */
const OTHER_CAPABILITIES: readonly string[] = (
  "DAC_READ_SEARCH LINUX_IMMUTABLE NET_BROADCAST NET_ADMIN IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_PTRACE " +
  "SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG LEASE AUDIT_CONTROL MAC_OVERRIDE " +
  "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

/** What can be told at create: a name that is none. @throws InvalidParameterError */
export function checkCapabilities({ CapAdd, CapDrop }: Pick<HostConfig, "CapAdd" | "CapDrop">): void {
  for (const [field, names] of Object.entries({ CapAdd, CapDrop })) {
    for (const name of names ?? []) {
      const full = fullName(name);
      if (full === ALL || DEFAULT_CAPABILITIES.includes(full) || OTHER_CAPABILITIES.includes(full)) continue;
      throw new InvalidParameterError(`invalid ${field}: unknown capability: ${JSON.stringify(full)}`, {
        subject: full,
      });
    }
  }
}

/** @param held what the daemon can hand on @throws InvalidParameterError for one that is unknown or not held */
export function chooseCapabilities(
  { CapAdd, CapDrop, Privileged }: Pick<HostConfig, "CapAdd" | "CapDrop" | "Privileged">,
  held: readonly string[],
): readonly string[] {
  if (Privileged) return held;
  const add = (CapAdd ?? []).map((name) => normalize(name, held));
  const drop = (CapDrop ?? []).map((name) => normalize(name, held));
  if (add.includes(ALL)) return held.filter((name) => !drop.includes(name));
  const kept = drop.includes(ALL) ? [] : DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name));
  return [...new Set([...kept, ...add])].filter((name) => held.includes(name));
}

function normalize(name: string, held: readonly string[]): string {
  const full = fullName(name);
  if (full === ALL) return ALL;
  if (held.includes(full) || DEFAULT_CAPABILITIES.includes(full)) return full;
  throw new InvalidParameterError(
    `capability not supported by your kernel or not available in the current environment: ${JSON.stringify(full)}`,
    { subject: full },
  );
}

function fullName(name: string): string {
  const upper = name.toUpperCase();
  return upper === ALL || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

/** Only root starts with capabilities in force, as after execve; nothing is inheritable or ambient. */
export function toProcessCapabilities(
  chosen: readonly string[],
  uid: number,
): RuntimeProcess["capabilities"] {
  const inForce = uid === 0 ? chosen : [];
  return { bounding: chosen, effective: inForce, permitted: inForce, inheritable: [], ambient: [] };
}
