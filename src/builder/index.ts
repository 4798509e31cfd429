/** The builder as its ways in see it. */

import { InvalidParameterError, NotImplementedError } from "../core/errors.ts";
import type { Digest } from "../core/ids.ts";
import type { ClassicDeps } from "./classic/deps.ts";
import { buildClassic } from "./classic/index.ts";
import type { BuildMessage, ClassicBuildOptions } from "./classic/options.ts";
import { findLocated } from "./dockerfile/source/ranges.ts";

export interface ClassicRequest {
  readonly options: ClassicBuildOptions;
  /** The client's name for the build, to cancel it by; may be empty. */
  readonly buildId: string;
  /** Address of a context elsewhere; empty: the body is the context. */
  readonly remote: string;
  readonly body: AsyncIterable<Uint8Array>;
  readonly send: (message: BuildMessage) => void;
  readonly signal: AbortSignal;
}

export class Builder {
  readonly #deps: ClassicDeps;
  /** By the client's name for it. */
  readonly #running = new Map<string, AbortController>();

  constructor(deps: ClassicDeps) {
    this.#deps = deps;
  }

  /** @throws EngineError; StepFailedError when a step's program failed */
  async buildClassic({ options, buildId, remote, body, send, signal }: ClassicRequest): Promise<Digest> {
    if (remote !== "" && remote !== "client-session") {
      throw new NotImplementedError("remote contexts are not implemented", { subject: remote });
    }
    return await this.#cancellable(buildId, signal, async (one) => {
      try {
        return await buildClassic(this.#deps, { options, source: { archive: body }, send, signal: one });
      } catch (error) {
        throw explained(error);
      }
    });
  }

  async #cancellable<T>(
    buildId: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const cancelled = new AbortController();
    if (buildId !== "") this.#running.set(buildId, cancelled);
    try {
      return await work(AbortSignal.any([signal, cancelled.signal]));
    } finally {
      if (this.#running.get(buildId) === cancelled) this.#running.delete(buildId);
    }
  }

  /** Cancels a build by the client's name for it; one that is not there is over already. */
  cancel(buildId: string): void {
    this.#running.get(buildId)?.abort(new Error("context canceled"));
  }
}

/** What is wrong in a Dockerfile is told with its line. */
function explained(error: unknown): unknown {
  const located = findLocated(error);
  const line = located?.locations[0]?.[0]?.start.line;
  if (!located) return error;
  const where = line === undefined ? "" : `dockerfile parse error on line ${line}: `;
  return new InvalidParameterError(`${where}${located.message}`, { cause: error });
}
