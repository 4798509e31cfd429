/** `--security-opt`: Docker's options, each either applied or an error. @see moby daemon/daemon_unix.go (parseSecurityOpt) */
import type { ContainerHost, SeccompProfile } from "../../../core/container-host.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import { parseSeccompProfile } from "./seccomp-profile.ts";

export interface SecurityOptions {
  /** Undefined leaves it to the daemon's default. */
  readonly noNewPrivileges: boolean | undefined;
  /** `builtin` is the host's profile; `default` is the daemon's, which is the same unless it was told otherwise. */
  readonly seccomp: "default" | "builtin" | "unconfined" | SeccompProfile;
  /** /proc and /sys without masked and read-only paths. */
  readonly systemPathsUnconfined: boolean;
  readonly writableCgroups: boolean;
  /** A profile that was named, on a host that has AppArmor. */
  readonly apparmor: string | undefined;
}

/** @throws InvalidParameterError for an unknown option, or a confinement that this host cannot give */
export function parseSecurityOptions(
  options: readonly string[],
  host: Pick<ContainerHost, "apparmor" | "selinux">,
): SecurityOptions {
  const found: { -readonly [K in keyof SecurityOptions]: SecurityOptions[K] } = {
    noNewPrivileges: undefined,
    seccomp: "default",
    systemPathsUnconfined: false,
    writableCgroups: false,
    apparmor: undefined,
  };
  for (const option of options) {
    const [key = "", value] = splitOption(option);
    if (key === "no-new-privileges") found.noNewPrivileges = parseFlag(option, value ?? "true");
    else if (key === "writable-cgroups") found.writableCgroups = parseFlag(option, value ?? "true");
    else if (key === "seccomp" && value !== undefined) found.seccomp = parseSeccomp(value);
    else if (key === "apparmor" && value !== undefined) found.apparmor = parseApparmor(value, host);
    else if (key === "systempaths" && value === "unconfined") found.systemPathsUnconfined = true;
    else if (key === "label" && value !== undefined) checkLabel(value, host);
    else throw new InvalidParameterError(`invalid --security-opt 2: ${JSON.stringify(option)}`);
  }
  return found;
}

/** What inspect shows: the profile that confines it, `unconfined`, or nothing where the host has no AppArmor. */
export function apparmorProfileOf(
  options: readonly string[],
  { apparmor }: Pick<ContainerHost, "apparmor">,
): string {
  if (!apparmor) return "";
  const [, named] = options.map(splitOption).findLast(([key]) => key === "apparmor") ?? [];
  return named || "unconfined";
}

/** `key=value`; Docker accepts the older `key:value` too. */
function splitOption(option: string): [string, string?] {
  const at = option.includes("=") ? option.indexOf("=") : option.indexOf(":");
  return at < 0 ? [option] : [option.slice(0, at), option.slice(at + 1)];
}

function parseFlag(option: string, value: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
  throw new InvalidParameterError(`invalid --security-opt 2: ${JSON.stringify(option)}`);
}

/** `unconfined`, `builtin`, or the profile itself: the client reads the file and sends its content. */
function parseSeccomp(value: string): SecurityOptions["seccomp"] {
  if (value === "unconfined" || value === "builtin") return value;
  return parseSeccompProfile(value);
}

function parseApparmor(value: string, { apparmor }: Pick<ContainerHost, "apparmor">): string | undefined {
  if (value === "unconfined" || value === "") return undefined;
  if (apparmor) return value;
  throw new InvalidParameterError(
    `AppArmor is not supported on this host, but the profile '${value}' was specified`,
  );
}

function checkLabel(value: string, { selinux }: Pick<ContainerHost, "selinux">): void {
  if (value === "disable") return;
  if (!selinux)
    throw new InvalidParameterError(
      `SELinux is not enabled on this host, but label '${value}' was specified`,
    );
  throw new InvalidParameterError(`SELinux labels are not supported: label '${value}'`);
}
