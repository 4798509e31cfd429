/** The process of an exec, as the runtime gets it. */
import type { ContainerRecord } from "../../core/container.ts";
import type { TerminalSize } from "../../core/runtime.ts";
import type { RuntimeProcess } from "../../core/runtime-spec.ts";
import type { RunningContainer } from "../containers/state/running.ts";
import type { ExecDeps } from "./deps.ts";
import type { ExecConfig } from "./store.ts";

/** Users are looked up in the container's root as the host sees it. @throws InvalidParameterError "unable to find user …" */
export async function execProcess(
  deps: Pick<ExecDeps, "snapshots" | "toExecProcess">,
  config: ExecConfig,
  {
    container,
    running,
    size,
  }: {
    readonly container: ContainerRecord;
    readonly running: RunningContainer;
    readonly size?: TerminalSize;
  },
): Promise<RuntimeProcess> {
  await using root = await deps.snapshots.mount(container.id);
  const { sandbox } = running;
  return await deps.toExecProcess({ container, rootfs: root.path, sandbox, exec: config, size });
}
