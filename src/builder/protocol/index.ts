/** BuildKit's protocol, put together: what the server hands calls and sessions to. */
import type { BuildService } from "../build.ts";
import { type Methods, serveCall } from "./grpc/server.ts";
import type { Channel, IncomingCall, Metadata, RawBytes } from "./grpc/transport.ts";
import { ApiBuilds } from "./services/api-build.ts";
import { bridgeMethods } from "./services/bridge.ts";
import { controlMethods } from "./services/control.ts";
import { healthMethods } from "./services/health.ts";
import { BuildHistory } from "./services/history.ts";
import { BuildJobs } from "./services/jobs.ts";
import { toWorkerMessage, type WorkerFacts } from "./services/worker.ts";
import { type ClientSessions, sessionFacts } from "./session/sessions.ts";

export type { ApiBuilds } from "./services/api-build.ts";

export interface BuildkitParts {
  readonly builds: BuildService;
  readonly sessions: ClientSessions;
  readonly worker: Omit<WorkerFacts, "platforms">;
  /** Speaks HTTP/2 as a client over bytes. */
  readonly openChannel: (raw: RawBytes) => Channel;
}

export class BuildkitProtocol {
  /** Builds that come as one request of the Engine API. */
  readonly apiBuilds: ApiBuilds;
  readonly #sessions: ClientSessions;
  readonly #methods: Methods;
  readonly #openChannel: (raw: RawBytes) => Channel;

  constructor({ builds, sessions, worker, openChannel }: BuildkitParts) {
    this.#sessions = sessions;
    this.#openChannel = openChannel;
    const workerMessage = () => toWorkerMessage({ ...worker, platforms: builds.platforms });
    const jobs = new BuildJobs();
    const parts = { builds, jobs, sessions, openChannel };
    this.apiBuilds = new ApiBuilds(builds, sessions);
    this.#methods = {
      ...controlMethods({ ...parts, history: new BuildHistory(), worker: workerMessage }),
      ...bridgeMethods(jobs, workerMessage),
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
