/** `/build`: decodes the query, hands body and replies to the builder, and tells failures as the stream's clients expect. */
import { decodeAuthHeader, registryConfig } from "../../api/bodies/auth.ts";
import { DecodeError } from "../../api/decode.ts";
import type { ExportRequest } from "../../builder/build.ts";
import type { BuildMessage, ClassicBuildOptions } from "../../builder/classic/options.ts";
import type { Builder } from "../../builder/index.ts";
import type { ApiBuilds } from "../../builder/protocol/index.ts";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";
import type { Credentials } from "../../core/registry.ts";
import type { Call, Handlers, ReplyStream } from "../call.ts";
import { toCredentials } from "./images.ts";

/** @param apiBuilds builds with BuildKit's session; undefined: there are none */
export function buildHandlers(builder: Builder, apiBuilds?: ApiBuilds): Handlers {
  return {
    ImageBuild: (call) =>
      apiBuilds && call.query.get("version") === "2"
        ? buildWithSession(call, apiBuilds)
        : build(call, builder),
    BuildCancel: (call) => cancel(call, builder, apiBuilds),
  };
}

function cancel(call: Call, builder: Builder, apiBuilds: ApiBuilds | undefined): void {
  const id = call.query.get("id") ?? "";
  if (id === "") throw new InvalidParameterError("build ID not provided");
  builder.cancel(id);
  apiBuilds?.cancel(id);
  call.empty(200);
}

/**
 * The reply is the trace of BuildKit's progress. It begins with the first message, and not before: a client that brings
 * a context takes the head of the reply for the end, and stops sending.
 */
async function buildWithSession(call: Call, builds: ApiBuilds): Promise<void> {
  const { query } = call;
  const options = decodeOptions(call);
  const buildArgs = [...options.buildArgs].flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  const request = {
    ...options,
    sessionId: query.get("session") ?? "",
    buildId: query.get("buildid") ?? "",
    remote: query.get("remote") ?? "",
    body: call.body,
    buildArgs: new Map(buildArgs),
    networkMode: options.network,
    platform: options.platform ?? "",
    outputs: outputsOf(query.get("outputs")),
    signal: call.signal,
  };
  let stream: ReplyStream | undefined;
  await builds.build(request, (message) => {
    stream ??= call.stream({ contentType: "application/json", errors: "progress" });
    return stream.write(`${JSON.stringify(message)}\r\n`);
  });
  if (stream) await stream.end();
  else call.empty(200);
}

function outputsOf(text: string | undefined): ExportRequest[] {
  const problem = "invalid outputs";
  const parsed = parse(text, problem) ?? [];
  if (!Array.isArray(parsed)) throw new InvalidParameterError(`${problem}: not a list`);
  return parsed.map((one: { Type?: unknown; Attrs?: unknown }) => {
    const { Type, Attrs = {} } = Object(one);
    const attrs = Object.entries(Object(Attrs) as object);
    if (typeof Type !== "string" || attrs.some(([, value]) => typeof value !== "string")) {
      throw new InvalidParameterError(problem);
    }
    return { type: Type, attrs: Object.fromEntries(attrs) as Record<string, string> };
  });
}

async function build(call: Call, builder: Builder): Promise<void> {
  checkVersion(call.query.get("version") ?? "");
  const options = decodeOptions(call);
  const reply = new BuildReply(call);
  try {
    const id = await builder.buildClassic({
      options,
      buildId: call.query.get("buildid") ?? "",
      remote: call.query.get("remote") ?? "",
      body: call.body,
      send: (message) => reply.send(message, options.quiet),
      signal: call.signal,
    });
    if (options.quiet) reply.send({ stream: `${id}\n` }, false);
  } catch (error) {
    await reply.fail(error);
  }
  await reply.end();
}

/** Begins with the first message: what fails before that is an ordinary error with its status. */
class BuildReply {
  readonly #call: Call;
  /** What was said quietly: told after all when the build fails. */
  readonly #unsaid: BuildMessage[] = [];
  #stream: ReplyStream | undefined;
  #written: Promise<void> = Promise.resolve();

  constructor(call: Call) {
    this.#call = call;
  }

  send(message: BuildMessage, quiet: boolean): void {
    if ("aux" in message && !this.#call.atLeast([1, 30])) return;
    if (quiet) {
      if (!("aux" in message)) this.#unsaid.push(message);
      return;
    }
    this.#stream ??= this.#call.stream({ contentType: "application/json", errors: "progress" });
    const stream = this.#stream;
    this.#written = this.#written.then(() => stream.write(`${JSON.stringify(message)}\r\n`));
  }

  /** @throws the error itself if nothing was said yet */
  async fail(error: unknown): Promise<void> {
    if (!this.#stream && this.#unsaid.length === 0) throw error;
    for (const message of this.#unsaid.splice(0)) this.send(message, false);
    const code = error instanceof Error && "exitCode" in error ? error.exitCode : undefined;
    const message = messageOf(error);
    const errorDetail = typeof code === "number" ? { code, message } : { message };
    this.send({ errorDetail, error: message }, false);
    await this.#written;
  }

  async end(): Promise<void> {
    await this.#written;
    await this.#stream?.end();
  }
}

/** @throws InvalidParameterError */
function decodeOptions(call: Call): ClassicBuildOptions {
  const { query } = call;
  const text = (name: string) => query.get(name) ?? "";
  const number = (name: string) => query.integer(name) ?? 0;
  if (query.flag("squash"))
    throw new InvalidParameterError("squash is only supported with experimental mode");
  if (query.all("securityopt").length > 0) {
    throw new InvalidParameterError("security options are not supported on linux");
  }
  const forceRemove = query.flag("forcerm");
  return {
    dockerfile: text("dockerfile"),
    tags: query.all("t").filter((tag) => tag !== ""),
    buildArgs: mapOf(query.get("buildargs"), "error reading build args"),
    labels: new Map(
      [...mapOf(query.get("labels"), "error reading labels")].map(([name, value]) => [name, value ?? ""]),
    ),
    cacheFrom: listOf(query.get("cachefrom"), "error reading cache-from"),
    target: text("target"),
    noCache: query.flag("nocache"),
    pull: query.flag("pull"),
    remove: forceRemove || query.flag("rm", true),
    forceRemove,
    quiet: query.flag("q"),
    network: text("networkmode"),
    extraHosts: query.all("extrahosts").filter((host) => host !== ""),
    limits: {
      memory: number("memory"),
      memorySwap: number("memswap"),
      cpuShares: number("cpushares"),
      cpuPeriod: number("cpuperiod"),
      cpuQuota: number("cpuquota"),
      cpusetCpus: text("cpusetcpus"),
      cpusetMems: text("cpusetmems"),
    },
    shmSize: number("shmsize"),
    cgroupParent: text("cgroupparent"),
    ulimits: ulimitsOf(query.get("ulimits")),
    platform: (call.atLeast([1, 32]) && query.get("platform")) || undefined,
    credentials: credentialsOf(call),
  };
}

function checkVersion(version: string): void {
  if (version === "" || version === "1") return;
  throw new InvalidParameterError(`invalid version ${JSON.stringify(version)}`);
}

function parse(text: string | undefined, problem: string): unknown {
  if (text === undefined || text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`${problem}: ${messageOf(error)}`, { cause: error });
  }
}

function mapOf(text: string | undefined, problem: string): Map<string, string | undefined> {
  const parsed = parse(text, problem) ?? {};
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new InvalidParameterError(`${problem}: not an object`);
  }
  const entries = Object.entries(parsed).map(([name, value]): [string, string | undefined] => {
    if (value !== null && typeof value !== "string")
      throw new InvalidParameterError(`${problem}: ${name} is no string`);
    return [name, value ?? undefined];
  });
  return new Map(entries);
}

function listOf(text: string | undefined, problem: string): string[] {
  const parsed = parse(text, problem) ?? [];
  if (!Array.isArray(parsed) || parsed.some((one) => typeof one !== "string")) {
    throw new InvalidParameterError(`${problem}: not a list of strings`);
  }
  return parsed;
}

function ulimitsOf(text: string | undefined): ClassicBuildOptions["ulimits"] {
  const problem = "error reading ulimit settings";
  const parsed = parse(text, problem) ?? [];
  if (!Array.isArray(parsed)) throw new InvalidParameterError(`${problem}: not a list`);
  return parsed.map((one: { Name?: unknown; Soft?: unknown; Hard?: unknown }) => {
    const { Name, Soft = 0, Hard = 0 } = Object(one);
    if (typeof Name !== "string" || typeof Soft !== "number" || typeof Hard !== "number") {
      throw new InvalidParameterError(problem);
    }
    return { Name, Soft, Hard };
  });
}

/** Credentials by registry host; what cannot be read is none, as in dockerd. */
function credentialsOf(call: Call): ClassicBuildOptions["credentials"] {
  let config: ReturnType<typeof registryConfig>;
  try {
    config = decodeAuthHeader(call.header("x-registry-config"), registryConfig);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    config = {};
  }
  const found = new Map<string, Credentials>();
  for (const [address, account] of Object.entries(config)) {
    const credentials = toCredentials(account);
    const host = address.replace(/^https?:\/\//, "").split("/", 1)[0] ?? "";
    if (credentials) found.set(host === "index.docker.io" ? "docker.io" : host, credentials);
  }
  return (host) => found.get(host);
}
