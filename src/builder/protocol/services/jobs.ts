/** Builds that run now, by the name that their client gave them: where Solve, Status and the bridge meet. */
import { ConflictError, NotFoundError } from "../../../core/errors.ts";
import type { FrontendResult, Gateway } from "../../frontend.ts";
import type { Definition } from "../../graph/definition.ts";
import { ProgressLog } from "./progress-log.ts";
import { ReferenceTable } from "./results.ts";

export class BuildJob {
  readonly ref: string;
  readonly sessionId: string;
  /** What stands for contexts, as the client handed it in. */
  readonly inputs: ReadonlyMap<string, Definition>;
  readonly progress = new ProgressLog();
  readonly references = new ReferenceTable();
  readonly #gateway = Promise.withResolvers<Gateway>();
  readonly #result = Promise.withResolvers<FrontendResult>();
  #over = false;

  constructor(ref: string, sessionId: string, inputs: ReadonlyMap<string, Definition>) {
    this.ref = ref;
    this.sessionId = sessionId;
    this.inputs = inputs;
    // Told to whoever waits for them; nobody may.
    this.#gateway.promise.catch(() => {});
    this.#result.promise.catch(() => {});
  }

  /** What the client calls through the bridge. */
  gateway(): Promise<Gateway> {
    return this.#gateway.promise;
  }

  /** Lets the client solve by itself, until it returns a result. */
  async solveByClient(gateway: Gateway, signal: AbortSignal): Promise<FrontendResult> {
    this.#gateway.resolve(gateway);
    const stop = () => this.#result.reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await this.#result.promise;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  return(result: FrontendResult): void {
    this.#result.resolve(result);
  }

  fail(error: unknown): void {
    this.#result.reject(error);
  }

  get over(): boolean {
    return this.#over;
  }

  /** It is over: nobody waits for it any more. */
  end(): void {
    this.#over = true;
    const gone = new NotFoundError(`no such job ${this.ref}`);
    this.#gateway.reject(gone);
    this.progress.end();
  }
}

/** How long Status and the bridge wait for a build that is on its way. */
const STATUS_PATIENCE = 6_000;
const BRIDGE_PATIENCE = 3_000;
/** How long the progress of a build that is over can still be asked for: a quick build ends before its client asks. */
const KEPT = 10_000;

export class BuildJobs {
  readonly #jobs = new Map<string, BuildJob>();
  readonly #waiting = new Set<() => void>();

  /** @throws ConflictError if there is one of that name */
  start(ref: string, sessionId: string, inputs: ReadonlyMap<string, Definition>): BuildJob {
    if (this.#jobs.has(ref)) throw new ConflictError(`job ID ${ref} exists`);
    const job = new BuildJob(ref, sessionId, inputs);
    this.#jobs.set(ref, job);
    for (const wake of this.#waiting) wake();
    return job;
  }

  /** Whoever reads its progress reads it to the end. */
  finish(job: BuildJob): void {
    job.end();
    setTimeout(() => this.#jobs.delete(job.ref), KEPT).unref();
  }

  forStatus(ref: string, signal: AbortSignal): Promise<BuildJob> {
    return this.#get(ref, STATUS_PATIENCE, signal);
  }

  async forBridge(ref: string, signal: AbortSignal): Promise<BuildJob> {
    const job = await this.#get(ref, BRIDGE_PATIENCE, signal);
    if (job.over) throw new NotFoundError(`no such job ${ref}`, { subject: ref });
    return job;
  }

  async #get(ref: string, patience: number, signal: AbortSignal): Promise<BuildJob> {
    const deadline = AbortSignal.timeout(patience);
    for (;;) {
      const job = this.#jobs.get(ref);
      if (job) return job;
      signal.throwIfAborted();
      if (deadline.aborted) throw new NotFoundError(`no such job ${ref}`, { subject: ref });
      await this.#change(AbortSignal.any([signal, deadline]));
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = () => {
      this.#waiting.delete(done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    this.#waiting.add(done);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
    return promise;
  }
}
