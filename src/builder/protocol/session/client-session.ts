/** A client that lets itself be called: its session, as the builder sees it. */
import { setTimeout as delay } from "node:timers/promises";
import { log } from "../../../base/log.ts";
import { NotFoundError } from "../../../core/errors.ts";
import type { Credentials } from "../../../core/registry.ts";
import type {
  AgentForward,
  BuildSession,
  DirectoryOptions,
  DirectoryTransfer,
  SessionContent,
  SessionOutput,
} from "../../session.ts";
import { callOnce, openStream } from "../grpc/client.ts";
import { Code, RpcError } from "../grpc/status.ts";
import type { Channel } from "../grpc/transport.ts";
import { BytesMessage } from "../messages/control.ts";
import {
  CheckAgentRequest,
  CheckAgentResponse,
  CredentialsRequest,
  CredentialsResponse,
  GetSecretRequest,
  GetSecretResponse,
  HealthCheckRequest,
  HealthCheckResponse,
} from "../messages/session.ts";
import { sessionContent } from "./content.ts";
import { sessionOutput } from "./output.ts";
import { openTransfer } from "./transfer.ts";

export interface SessionFacts {
  readonly id: string;
  readonly name: string;
  readonly sharedKey: string;
  /** `/moby.filesync.v1.FileSync/DiffCopy`; empty: the client does not tell. */
  readonly methods: ReadonlySet<string>;
}

const HEALTH = { interval: 5_000, timeout: 15_000, failures: 2 };
const HUB = "registry-1.docker.io";

export class ClientSession implements BuildSession {
  readonly id: string;
  readonly sharedKey: string;
  readonly closed: AbortSignal;
  readonly output: SessionOutput;
  readonly #channel: Channel;
  readonly #methods: ReadonlySet<string>;

  constructor(channel: Channel, facts: SessionFacts) {
    this.id = facts.id;
    this.sharedKey = facts.sharedKey;
    this.#channel = channel;
    this.#methods = facts.methods;
    this.output = sessionOutput(channel);
    const closed = new AbortController();
    this.closed = closed.signal;
    void channel.closed.then(() => closed.abort(new Error(`session ${facts.id} is closed`)));
    void this.#watch();
  }

  openDirectory(name: string, options: DirectoryOptions): Promise<DirectoryTransfer> {
    if (!this.#offers("/moby.filesync.v1.FileSync/DiffCopy")) {
      return Promise.reject(new NotFoundError("no local sources enabled"));
    }
    return Promise.resolve(openTransfer(this.#channel, name, options));
  }

  async secret(id: string, { signal }: { signal: AbortSignal }): Promise<Uint8Array | undefined> {
    const types = [GetSecretRequest, GetSecretResponse] as const;
    const path = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
    const reply = await absentIfUnknown(callOnce(this.#channel, path, types, { id }, { signal }));
    return reply?.data;
  }

  async agent(id: string, { signal }: { signal: AbortSignal }): Promise<AgentForward | undefined> {
    const types = [CheckAgentRequest, CheckAgentResponse] as const;
    const path = "/moby.sshforward.v1.SSH/CheckAgent";
    const known = await absentIfUnknown(callOnce(this.#channel, path, types, { id }, { signal }));
    return known && { connect: (options) => Promise.resolve(this.#connectAgent(id, options.signal)) };
  }

  async credentials(
    registryHost: string,
    { signal }: { signal: AbortSignal },
  ): Promise<Credentials | undefined> {
    const host = registryHost === "docker.io" ? HUB : registryHost;
    const types = [CredentialsRequest, CredentialsResponse] as const;
    const path = "/moby.filesync.v1.Auth/Credentials";
    const reply = await absentIfUnknown(callOnce(this.#channel, path, types, { host }, { signal }));
    if (!reply || reply.secret === "") return undefined;
    // Docker's helpers give a token alone where they have no user.
    return reply.username === ""
      ? { username: "", password: "", identityToken: reply.secret }
      : { username: reply.username, password: reply.secret };
  }

  content(storeId: string): SessionContent {
    return sessionContent(this.#channel, storeId);
  }

  /**
   * What the client was asked to send up: the body of a build whose context is neither in its session nor elsewhere.
   * @param url `http://buildkit-session/<id>`
   */
  async *upload(url: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const { host, pathname } = new URL(url);
    const metadata = [
      ["urlpath", pathname],
      ["urlhost", host],
    ] as const;
    const types = [BytesMessage, BytesMessage] as const;
    using stream = openStream(this.#channel, "/moby.upload.v1.Upload/Pull", types, { metadata, signal });
    for await (const { data } of stream.messages) yield data;
  }

  #connectAgent(id: string, signal: AbortSignal): Awaited<ReturnType<AgentForward["connect"]>> {
    const types = [BytesMessage, BytesMessage] as const;
    const metadata = [["buildkit.ssh.id", id]] as const;
    const stream = openStream(this.#channel, "/moby.sshforward.v1.SSH/ForwardAgent", types, {
      metadata,
      signal,
    });
    async function* output(): AsyncGenerator<Uint8Array, void, void> {
      for await (const { data } of stream.messages) yield data;
    }
    return {
      output: output(),
      write: (data) => stream.send({ data }),
      close: () => stream[Symbol.dispose](),
    };
  }

  #offers(method: string): boolean {
    if (this.#methods.size === 0) return true;
    return [...this.#methods].some((known) => known.toLowerCase() === method.toLowerCase());
  }

  /** A client that does not answer any more is gone, whatever its connection says. */
  async #watch(): Promise<void> {
    const { closed } = this;
    for (let failures = 0; failures < HEALTH.failures; ) {
      try {
        await delay(HEALTH.interval, undefined, { signal: closed, ref: false });
        const signal = AbortSignal.any([closed, AbortSignal.timeout(HEALTH.timeout)]);
        const types = [HealthCheckRequest, HealthCheckResponse] as const;
        await callOnce(this.#channel, "/grpc.health.v1.Health/Check", types, {}, { signal });
        failures = 0;
      } catch (error) {
        if (closed.aborted) return;
        // Who has no health service answers all the same.
        if (error instanceof RpcError && error.code === Code.unimplemented) failures = 0;
        else failures++;
      }
    }
    log("warn", "a build session does not answer", { session: this.id });
    this.#channel[Symbol.dispose]();
  }
}

/** A client that has no such thing, or no such service, has none. */
async function absentIfUnknown<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    const absent =
      error instanceof RpcError && (error.code === Code.notFound || error.code === Code.unimplemented);
    if (absent) return undefined;
    throw error;
  }
}
