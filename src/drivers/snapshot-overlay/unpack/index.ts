/** The layer unpacker: starts one helper process for each layer, at most as many at a time as there are cores. */
import { availableParallelism } from "node:os";
import { selfCommand } from "../../../base/self.ts";
import { Semaphore } from "../../../base/semaphore.ts";
import { InvalidParameterError, NoSpaceError, SystemError } from "../../../core/errors.ts";
import type { LayerUnpacker, UnpackedLayer, UnpackRequest } from "../../../core/layers.ts";
import type { HelperAnswer, HelperRequest } from "./protocol.ts";

/** Unpacks each layer in a process of its own, chrooted into it. */
export class HelperUnpacker implements LayerUnpacker {
  readonly #turns = new Semaphore(Math.max(2, availableParallelism()));

  async unpack(request: UnpackRequest): Promise<UnpackedLayer> {
    using _turn = await this.#turns.acquire(request.signal);
    const { blob, diffId, into, signal } = request;
    const argument: HelperRequest = { blob, diffId, into, parent: process.pid };
    const child = Bun.spawn(selfCommand("internal", "unpack-layer", JSON.stringify(argument)), {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    // SIGKILL: the helper holds nothing that outlives it, and its directory is thrown away.
    const onAbort = () => child.kill("SIGKILL");
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const problems = child.stderr.text();
      const last = await followAnswers(child.stdout, request.onProgress);
      await child.exited;
      signal.throwIfAborted();
      if (last?.kind === "done") return { size: last.size, entries: last.entries };
      if (last?.kind === "failed") throw toError(last, diffId ?? blob);
      throw new SystemError(`the unpack helper ended without an answer: ${(await problems).trim()}`, {
        subject: diffId ?? blob,
      });
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await child.exited;
      }
    }
  }
}

async function followAnswers(
  lines: ReadableStream<Uint8Array>,
  onProgress: ((current: number) => void) | undefined,
): Promise<HelperAnswer | undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  let last: HelperAnswer | undefined;
  for await (const bytes of lines) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      last = JSON.parse(part) as HelperAnswer;
      if (last.kind === "progress") onProgress?.(last.current);
    }
  }
  return last;
}

function toError(failure: HelperAnswer & { kind: "failed" }, subject: string): Error {
  const message = `failed to register layer: ${failure.message}`;
  if (failure.reason === "invalid") return new InvalidParameterError(message, { subject });
  if (failure.reason === "no-space") {
    return new NoSpaceError(`failed to register layer: no space left on device: ${failure.message}`, {
      subject,
    });
  }
  return new SystemError(message, { subject });
}
