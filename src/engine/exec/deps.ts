/** What the use cases of execs need: part of what a container's do, and the process that the runtime gets. */
import type { RuntimeProcess } from "../../core/runtime-spec.ts";
import type { ContainerDeps } from "../containers/deps.ts";
import type { ExecProcessInput } from "../containers/oci-spec/index.ts";
import type { ExecStore } from "./store.ts";

export interface ExecDeps
  extends Pick<ContainerDeps, "store" | "running" | "runtime" | "snapshots" | "events"> {
  readonly execs: ExecStore;
  readonly toExecProcess: (input: ExecProcessInput) => Promise<RuntimeProcess>;
}
