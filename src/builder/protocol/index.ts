/** BuildKit's protocol, put together: what the server hands calls and sessions to. */
import type { BuildService } from "../build.ts";
import { type Methods, serveCall } from "./grpc/server.ts";
import type { Channel, IncomingCall, Metadata, RawBytes } from "./grpc/transport.ts";
import { bridgeMethods } from "./services/bridge.ts";
import { controlMethods } from "./services/control.ts";
import { healthMethods } from "./services/health.ts";
import { BuildHistory } from "./services/history.ts";
import { BuildJobs } from "./services/jobs.ts";
import { toWorkerMessage, type WorkerFacts } from "./services/worker.ts";
import { type ClientSessions, sessionFacts } from "./session/sessions.ts";

export interface BuildkitParts {
  readonly builds: BuildService;
  readonly sessions: ClientSessions;
  readonly worker: Omit<WorkerFacts, "platforms">;
  /** Speaks HTTP/2 as a client over bytes. */
  readonly openChannel: (raw: RawBytes) => Channel;
}

export class BuildkitProtocol {
  readonly jobs = new BuildJobs();
  readonly #sessions: ClientSessions;
  readonly #methods: Methods;
  readonly #openChannel: (raw: RawBytes) => Channel;

  constructor({ builds, sessions, worker, openChannel }: BuildkitParts) {
    this.#sessions = sessions;
    this.#openChannel = openChannel;
    const workerMessage = () => toWorkerMessage({ ...worker, platforms: builds.platforms });
    const parts = { builds, jobs: this.jobs, sessions, openChannel };
    this.#methods = {
      ...controlMethods({ ...parts, history: new BuildHistory(), worker: workerMessage }),
      ...bridgeMethods(this.jobs, workerMessage),
      ...healthMethods,
    };
  }

  /** One call of a client's. Never rejects. */
  serve(call: IncomingCall): Promise<void> {
    return serveCall(call, this.#methods);
  }

  /**
   * A connection on which the client lets itself be called. Settles when it is over.
   * @param connect gives the connection, once it is known that there will be a session
   * @throws InvalidParameterError, ConflictError
   */
  async holdSession(connect: () => RawBytes, headers: Metadata): Promise<void> {
    const facts = sessionFacts(headers);
    await this.#sessions.hold(this.#openChannel(connect()), facts);
  }
}
