/** `/containers`: decode, one engine call, encode. */
import { containerConfig, containerCreateBody, containerUpdateBody } from "../../api/bodies/container.ts";
import { parseDetachKeys } from "../../api/detach-keys.ts";
import { encodeFrame, MULTIPLEXED_STREAM, RAW_STREAM } from "../../api/frames.ts";
import { InvalidParameterError, NotImplementedError } from "../../core/errors.ts";
import type { LogEntry } from "../../core/logs.ts";
import type { Containers } from "../../engine/containers/containers.ts";
import { LIST_FILTERS, PRUNE_FILTERS, toPruneTest } from "../../engine/containers/queries/list.ts";
import type { ContainerLog } from "../../engine/containers/queries/logs.ts";
import type { WaitCondition } from "../../engine/containers/state/running.ts";
import type { StopOptions } from "../../engine/containers/stop.ts";
import type { Call, Handlers } from "../call.ts";
import { toStats } from "../encode/stats.ts";
import { toStdioClient } from "../stdio-client.ts";
import { inspectFor, summaryFor } from "../versions/containers.ts";
import { createFor, updateFor } from "../versions/create.ts";

export function containerHandlers(containers: Containers): Handlers {
  return {
    ContainerList: (call) => list(containers, call),
    ContainerCreate: (call) => create(containers, call),
    async ContainerInspect(call) {
      const details = await containers.inspect(call.param("id"), {
        size: call.query.flag("size"),
        signal: call.signal,
      });
      call.json(inspectFor(call, details));
    },
    async ContainerTop(call) {
      const { titles, processes } = await containers.top(call.param("id"), call.query.get("ps_args") ?? "");
      call.json({ Titles: titles, Processes: processes });
    },
    ContainerStats: (call) => stats(containers, call),
    ContainerLogs: (call) => logs(containers, call),
    async ContainerLogsClear(call) {
      await containers.clearLogs(call.param("id"));
      call.empty();
    },
    async ContainerResize(call) {
      await containers.resize(call.param("id"), decodeSize(call));
      call.empty(200);
    },
    async ContainerStart(call) {
      refuseBody(call);
      refuseCheckpoint(call.query.get("checkpoint") ?? "");
      await containers.start(call.param("id"), { signal: call.signal });
      call.empty();
    },
    async ContainerStop(call) {
      await containers.stop(call.param("id"), decodeStop(call));
      call.empty();
    },
    async ContainerRestart(call) {
      await containers.restart(call.param("id"), decodeStop(call));
      call.empty();
    },
    async ContainerKill(call) {
      await containers.kill(call.param("id"), call.query.get("signal") ?? "");
      call.empty();
    },
    async ContainerUpdate(call) {
      const change = updateFor(call, await call.decode(containerUpdateBody));
      call.json({ Warnings: await containers.update(call.param("id"), change) });
    },
    async ContainerRename(call) {
      await containers.rename(call.param("id"), call.query.get("name") ?? "");
      call.empty();
    },
    ImageCommit: (call) => commit(containers, call),
    async ContainerPause(call) {
      await containers.pause(call.param("id"));
      call.empty();
    },
    async ContainerUnpause(call) {
      await containers.unpause(call.param("id"));
      call.empty();
    },
    ContainerAttach: (call) => attach(containers, call, { raw: false }),
    ContainerAttachWebsocket: (call) => attach(containers, call, { raw: true }),
    ContainerWait: (call) => wait(containers, call),
    async ContainerDelete(call) {
      await containers.remove(call.param("id"), {
        force: call.query.flag("force"),
        volumes: call.query.flag("v"),
        link: call.query.flag("link"),
      });
      call.empty();
    },
    async ContainerPrune(call) {
      const matches = toPruneTest(call.query.filters(PRUNE_FILTERS), Date.now());
      const { ids, reclaimed } = await containers.prune(matches, call.signal);
      call.json({ ContainersDeleted: ids.length > 0 ? ids : null, SpaceReclaimed: reclaimed });
    },
  };
}

async function create(containers: Containers, call: Call): Promise<void> {
  const body = await call.decode(containerCreateBody);
  const { config } = body;
  if (!config) {
    throw new InvalidParameterError("config cannot be empty in order to create a container");
  }
  const request = createFor(call, { ...body, config }, containers.cgroupVersion);
  const { id, warnings } = await containers.create({
    name: call.query.get("name") || undefined,
    platform: call.atLeast([1, 41]) ? call.query.get("platform") || undefined : undefined,
    config: request.config,
    hostConfig: request.hostConfig,
    endpoints: request.endpoints,
    endpointMacs: call.atLeast([1, 44]),
    recursiveReadOnly: call.atLeast([1, 44]),
  });
  call.json({ Id: id, Warnings: [...warnings, ...request.warnings] }, 201);
}

async function list(containers: Containers, call: Call): Promise<void> {
  const { query } = call;
  const views = await containers.list({
    all: query.flag("all"),
    limit: query.integer("limit"),
    filters: query.filters(LIST_FILTERS),
    size: query.flag("size"),
    signal: call.signal,
  });
  const now = Date.now();
  call.json(views.map((view) => summaryFor(call, view, now)));
}

/**
 * Old clients sent a host configuration with start: it belongs to create, and must not be dropped silently. What is
 * too short to be one (`{}`, `null`) is let pass, whatever it is, as moby does.
 */
function refuseBody({ bodyLength }: Call): void {
  if (bodyLength <= SHORTEST_CONFIGURATION) return;
  throw new InvalidParameterError(
    "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
  );
}

/** Starting from the beginning instead would lose what the checkpoint holds. */
function refuseCheckpoint(id: string): void {
  if (id === "") return;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(id)) {
    throw new InvalidParameterError(
      `invalid checkpoint ID ${JSON.stringify(id)}, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  throw new NotImplementedError("starting from a checkpoint is not implemented by this engine");
}

/** Bytes. */
const SHORTEST_CONFIGURATION = 7;

function decodeStop(call: Call): StopOptions {
  return {
    signal: call.query.get("signal") || undefined,
    timeout: call.query.integer("t"),
    aborted: call.signal,
  };
}

/** @throws InvalidParameterError in moby's words */
export function decodeSize({ query }: Call): { height: number; width: number } {
  const side = (name: string, what: string): number => {
    const text = query.get(name) ?? "";
    const reason = whyNotUint32(text);
    if (reason !== undefined)
      throw new InvalidParameterError(`invalid resize ${what} ${JSON.stringify(text)}: ${reason}`);
    // The kernel has 16 bits for it.
    return Math.min(Number(text), 65_535);
  };
  return { height: side("h", "height"), width: side("w", "width") };
}

/** @see moby api/server/httputils/form.go Uint32Value: a negative number is one out of range */
function whyNotUint32(text: string): string | undefined {
  if (!/^-?\d+$/.test(text)) return "invalid syntax";
  return text.startsWith("-") || Number(text) > 2 ** 32 - 1 ? "value out of range" : undefined;
}

const CONDITIONS: readonly WaitCondition[] = ["not-running", "next-exit", "removed"];

/** The headers go out before anything has happened: clients wait for them, and then start the container. */
async function wait(containers: Containers, call: Call): Promise<void> {
  const asked = call.query.get("condition") || "not-running";
  const condition = CONDITIONS.find((candidate) => candidate === asked);
  if (!condition) throw new InvalidParameterError(`invalid condition: ${JSON.stringify(asked)}`);
  const waiting = containers.wait(call.param("id"), { condition, signal: call.signal });
  const reply = call.stream({ contentType: "application/json" });
  const ended = await waiting;
  if (ended) {
    await reply.writeJson({
      StatusCode: ended.exitCode,
      ...(ended.error !== "" && { Error: { Message: ended.error } }),
    });
  }
  await reply.end();
}

/**
 * So long the reply's head stays alone on the wire before old output follows it, in milliseconds: docker-py reads the
 * head through a buffer that it then drops, with whatever came along.
 */
const HEAD_ALONE = 5;

async function attach(containers: Containers, call: Call, { raw }: { raw: boolean }): Promise<void> {
  const { query } = call;
  const detachKeys = parseDetachKeys(query.get("detachKeys"));
  const attachment = containers.attach(call.param("id"), {
    stdin: query.flag("stdin"),
    stdout: query.flag("stdout"),
    stderr: query.flag("stderr"),
    logs: query.flag("logs"),
    stream: query.flag("stream"),
  });
  const framed = !attachment.tty && !raw;
  using connection = call.hijack({ contentType: streamType(call, framed) });
  const client = toStdioClient(connection, { framed, detachKeys: attachment.tty ? detachKeys : undefined });
  if (query.flag("logs")) await Bun.sleep(HEAD_ALONE);
  await attachment.serve(client);
  await connection.end();
}

/** Before API 1.42 clients knew from inspect what to expect. */
export function streamType(call: Call, framed: boolean): string {
  return framed && call.atLeast([1, 42]) ? MULTIPLEXED_STREAM : RAW_STREAM;
}

async function stats(containers: Containers, call: Call): Promise<void> {
  const stream = call.query.get("stream") === undefined || call.query.flag("stream");
  const oneShot = call.query.flag("one-shot");
  if (stream && oneShot) throw new InvalidParameterError("cannot have stream=true and one-shot=true");
  const all = containers.stats(call.param("id"), { stream, oneShot, signal: call.signal });
  const reply = call.stream({ contentType: "application/json" });
  for await (const each of all) {
    await reply.writeJson(toStats(each, { networks: each.container.hostConfig.NetworkMode !== "host" }));
  }
  await reply.end();
}

async function logs(containers: Containers, call: Call): Promise<void> {
  const { query } = call;
  const containerLog = containers.logs(call.param("id"), {
    stdout: query.flag("stdout"),
    stderr: query.flag("stderr"),
    since: parseTime(query.get("since")),
    until: parseTime(query.get("until")),
    tail: parseTail(query.get("tail")),
    follow: query.flag("follow"),
    grep: query.get("grep") || undefined,
    signal: call.signal,
  });
  const framed = !containerLog.tty;
  const reply = call.stream({ contentType: streamType(call, framed) });
  const toLine = lineWriter(containerLog, {
    timestamps: query.flag("timestamps"),
    details: query.flag("details"),
  });
  for await (const entry of containerLog.entries) {
    const line = toLine(entry);
    await reply.write(framed ? encodeFrame(entry.stream, line) : line);
  }
  await reply.end();
}

/** Puts the time and the details in front of each line; the later parts of a long line go on without them. */
function lineWriter(
  { attributes }: ContainerLog,
  { timestamps, details }: { timestamps: boolean; details: boolean },
): (entry: LogEntry) => Uint8Array {
  const encoder = new TextEncoder();
  const detailText = Object.entries(attributes)
    .map(([name, value]) => `${queryEscape(name)}=${queryEscape(value)}`)
    .join(",");
  const withinLine = { stdout: false, stderr: false };
  return ({ stream, timestamp, bytes, partial }) => {
    const head = withinLine[stream]
      ? ""
      : `${timestamps ? `${timestamp} ` : ""}${details ? `${detailText} ` : ""}`;
    withinLine[stream] = partial;
    return head === "" ? bytes : Buffer.concat([encoder.encode(head), bytes]);
  };
}

/** As Go's url.QueryEscape. */
function queryEscape(text: string): string {
  const escaped = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return escaped.replaceAll("%20", "+");
}

/** `sec.nanos` → nanoseconds; 0 and absence are no bound. @throws InvalidParameterError */
function parseTime(text: string | undefined): bigint | undefined {
  if (text === undefined || text === "" || text === "0") return undefined;
  const parts = /^(-?\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (!parts) {
    const time = Date.parse(text);
    if (Number.isNaN(time))
      throw new InvalidParameterError(`invalid value for time: ${JSON.stringify(text)}`);
    return BigInt(time) * 1_000_000n;
  }
  const [, seconds = "0", fraction = ""] = parts;
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** Anything but a number is all, as in Docker. */
function parseTail(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** @see moby `api/server/router/image/image_routes.go`, postCommit */
async function commit(containers: Containers, call: Call): Promise<void> {
  const container = call.query.get("container") ?? "";
  const config = await call.decode(containerConfig);
  const id = await containers.commit(container, {
    repository: call.query.get("repo") ?? "",
    tag: call.query.get("tag") ?? "",
    author: call.query.get("author") ?? "",
    comment: call.query.get("comment") ?? "",
    pause: call.query.flag("pause", true),
    changes: call.query.all("changes"),
    config: Object.keys(config).length > 0 ? config : undefined,
    signal: call.signal,
  });
  call.json({ Id: id }, 201);
}
