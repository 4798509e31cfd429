/** `POST /containers/{id}/exec`: notes what is to be run. Nothing runs before `start.ts`. */
import type { ContainerRecord } from "../../core/container.ts";
import { ConflictError, InvalidParameterError } from "../../core/errors.ts";
import { type ExecId, randomId } from "../../core/ids.ts";
import { publish } from "../containers/events.ts";
import { getRunning, type RunningContainer } from "../containers/state/running.ts";
import type { ExecDeps } from "./deps.ts";
import { execProcess } from "./process.ts";
import type { ExecConfig } from "./store.ts";

/**
 * @throws NotFoundError; ConflictError unless the container runs and is not paused; InvalidParameterError, also for a
 *   user that the container does not know
 */
export async function createExec(deps: ExecDeps, reference: string, config: ExecConfig): Promise<ExecId> {
  const container = deps.store.get(reference);
  const running = getExecutable(deps, container);
  if (config.cmd.length === 0) throw new InvalidParameterError("No exec command specified");
  deps.runtime.expectStart();
  if (config.user !== "") await execProcess(deps, config, { container, running });
  const id = randomId<ExecId>();
  deps.execs.put({
    id,
    containerId: container.id,
    config,
    state: "created",
    task: undefined,
    pid: 0,
    exitCode: undefined,
    endedAt: undefined,
    createdAt: performance.now(),
  });
  publish(deps.events, container, `exec_create: ${commandText(config)}`, { execID: id });
  return id;
}

/** As moby writes it in events: a program without arguments is followed by a space. */
export function commandText({ cmd: [program = "", ...args] }: ExecConfig): string {
  return `${program} ${args.join(" ")}`;
}

/** @throws ConflictError in Docker's words */
export function getExecutable(deps: Pick<ExecDeps, "running">, container: ContainerRecord): RunningContainer {
  if (container.state.status === "paused") {
    throw new ConflictError(`Container ${container.name} is paused, unpause the container before exec`, {
      subject: container.id,
    });
  }
  return getRunning(deps, container);
}
