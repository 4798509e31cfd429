/** The environment of a container's processes. @see moby container/container_unix.go (CreateDaemonEnvironment) */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface EnvironmentRequest {
  readonly hostname: string;
  readonly tty: boolean;
  /** Of linked neighbours. */
  readonly linked: readonly string[];
  /** `config.Env`: `NAME=value`; a name alone takes the variable away. */
  readonly env: readonly string[];
  /** Of the user who runs the process. */
  readonly home: string;
}

/** What the engine sets, then what was asked for in its place or behind; HOME unless somebody set it to something. */
export function toEnvironment({ hostname, tty, linked, env, home }: EnvironmentRequest): string[] {
  const base = [`PATH=${DEFAULT_PATH}`, `HOSTNAME=${hostname}`, ...(tty ? ["TERM=xterm"] : []), ...linked];
  const merged = mergeEnvironment(base, env);
  const others = merged.filter((entry) => entry !== "HOME=");
  return others.some((entry) => entry.startsWith("HOME=")) ? others : [...others, `HOME=${home}`];
}

/** Later entries of a name take the place of the earlier one. */
function mergeEnvironment(base: readonly string[], changes: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const entry of [...base, ...changes]) {
    const at = entry.indexOf("=");
    if (at < 0) merged.delete(entry);
    else merged.set(entry.slice(0, at), entry);
  }
  return [...merged.values()];
}
