/** `/exec` and `/containers/{id}/exec`. */
import { execCreateBody, execStartBody } from "../../api/bodies/container.ts";
import { parseDetachKeys } from "../../api/detach-keys.ts";
import type { TerminalSize } from "../../core/runtime.ts";
import type { ContainerDeps } from "../../engine/containers/deps.ts";
import { createExec } from "../../engine/exec/create.ts";
import { getExec, resizeExec } from "../../engine/exec/inspect.ts";
import { openExec } from "../../engine/exec/start.ts";
import type { Exec } from "../../engine/exec/store.ts";
import type { Call, Handlers } from "../call.ts";
import { toStdioClient } from "../stdio-client.ts";
import { decodeSize, streamType } from "./containers.ts";

export function execHandlers(deps: ContainerDeps): Handlers {
  return {
    async ContainerExec(call) {
      const body = await call.decode(execCreateBody);
      parseDetachKeys(body.DetachKeys);
      const id = await createExec(deps, call.param("id"), {
        cmd: body.Cmd ?? [],
        env: body.Env ?? [],
        user: body.User ?? "",
        workingDir: body.WorkingDir ?? "",
        privileged: body.Privileged ?? false,
        tty: body.Tty ?? false,
        attachStdin: body.AttachStdin ?? false,
        attachStdout: body.AttachStdout ?? false,
        attachStderr: body.AttachStderr ?? false,
        detachKeys: body.DetachKeys,
        consoleSize: toSize(body.ConsoleSize),
      });
      call.json({ Id: id }, 201);
    },
    ExecStart: (call) => start(deps, call),
    async ExecResize(call) {
      await resizeExec(deps, call.param("id"), decodeSize(call));
      call.empty(200);
    },
    ExecInspect(call) {
      call.json(toExecInspect(getExec(deps, call.param("id"))));
    },
  };
}

async function start(deps: ContainerDeps, call: Call): Promise<void> {
  const body = await call.decode(execStartBody);
  const session = openExec(deps, call.param("id"), { consoleSize: toSize(body.ConsoleSize) });
  if (body.Detach) {
    await session.detach();
    call.empty(200);
    return;
  }
  const { config } = session.exec;
  // What the client says here decides how it reads, whatever the process has.
  const framed = !(body.Tty ?? false);
  using connection = call.hijack({ contentType: streamType(call, framed) });
  const detachKeys = config.tty ? parseDetachKeys(config.detachKeys) : undefined;
  await session.serve(toStdioClient(connection, { framed, detachKeys }));
  await connection.end();
}

function toSize(size: readonly number[] | null | undefined): TerminalSize | undefined {
  const [height = 0, width = 0] = size ?? [];
  return height > 0 && width > 0 ? { height, width } : undefined;
}

function toExecInspect({ id, containerId, config, state, pid, exitCode }: Exec): object {
  const [entrypoint = "", ...args] = config.cmd;
  return {
    ID: id,
    Running: state === "running",
    ExitCode: exitCode ?? null,
    ProcessConfig: {
      tty: config.tty,
      entrypoint,
      arguments: args,
      privileged: config.privileged,
      ...(config.user !== "" && { user: config.user }),
    },
    OpenStdin: config.attachStdin,
    OpenStderr: config.attachStderr,
    OpenStdout: config.attachStdout,
    CanRemove: state === "ended",
    ContainerID: containerId,
    DetachKeys: config.detachKeys ?? "",
    Pid: pid,
  };
}
