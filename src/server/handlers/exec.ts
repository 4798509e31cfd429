/** `/exec` and `/containers/{id}/exec`. */
import { execCreateBody, execStartBody } from "../../api/bodies/container.ts";
import { parseDetachKeys } from "../../api/detach-keys.ts";
import type { TerminalSize } from "../../core/runtime.ts";
import type { Execs } from "../../engine/exec/execs.ts";
import type { Exec } from "../../engine/exec/store.ts";
import type { Call, Handlers } from "../call.ts";
import { toStdioClient } from "../stdio-client.ts";
import { decodeSize, streamType } from "./containers.ts";

export function execHandlers(execs: Execs): Handlers {
  return {
    async ContainerExec(call) {
      const body = await call.decode(execCreateBody);
      parseDetachKeys(body.DetachKeys);
      const id = await execs.create(call.param("id"), {
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
    ExecStart: (call) => start(execs, call),
    async ExecResize(call) {
      await execs.resize(call.param("id"), decodeSize(call), call.signal);
      call.empty(200);
    },
    ExecInspect(call) {
      call.json(toExecInspect(execs.get(call.param("id"))));
    },
  };
}

async function start(execs: Execs, call: Call): Promise<void> {
  const body = await call.decode(execStartBody);
  const session = execs.open(call.param("id"), { consoleSize: toSize(body.ConsoleSize) });
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
