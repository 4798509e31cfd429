/**
 * crun refuses to create on hosts with hybrid cgroups, so there it runs in a mount namespace without the v2 tree, which is
 * made for each call (0.15 ms): a copy of the host's mounts as they are now. Everywhere else it runs as it is.
 */
import { closeSync, openSync } from "node:fs";
import { SystemError } from "../../core/errors.ts";
import type { CgroupHost } from "../../linux/cgroups.ts";
import { stopPropagationAt, unmount } from "../../linux/mounts.ts";
import { currentNamespacePath, ownThreadFs, withNewNamespace } from "../../linux/namespaces.ts";
import { findProgram, type RuntimeBinary } from "./binaries.ts";

/** How to call an OCI runtime. Dispose when the call is over. */
export interface RuntimeCommand extends Disposable {
  /** Program and leading arguments. */
  readonly command: readonly [string, ...string[]];
}

/** For what crun does on every host: exec joins the groups that are there. */
export function plainCommand(binary: RuntimeBinary, ...args: readonly string[]): [string, ...string[]] {
  return [binary.program, ...binary.args, ...args];
}

export function runtimeCommand(
  binary: RuntimeBinary,
  host: CgroupHost,
  ...args: readonly string[]
): RuntimeCommand {
  const plain = plainCommand(binary, ...args);
  const { unified } = host;
  if (binary.kind !== "crun" || unified === undefined || host.layout !== "hybrid") {
    return { command: plain, [Symbol.dispose]() {} };
  }
  const nsenter = findProgram("nsenter");
  if (nsenter === undefined) throw new SystemError("nsenter is not installed (package util-linux)");
  ownThreadFs();
  const view = withNewNamespace("mnt", () => {
    // The others stay what they are: a mount that is shared with a container must be the host's own peer.
    stopPropagationAt(unified);
    unmount(unified, { lazy: true });
    return openSync(currentNamespacePath("mnt"), "r");
  });
  return {
    command: [nsenter, `--mount=/proc/${process.pid}/fd/${view}`, "--", ...plain],
    [Symbol.dispose]: () => closeSync(view),
  };
}
