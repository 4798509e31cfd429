/** `create` and the first half of `run`: from flags to a container that exists, its image pulled if need be. */
import { closeSync, existsSync, openSync, unlinkSync, writeSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import { createContainer } from "../../client/containers.ts";
import { isNotFound } from "../../client/errors.ts";
import { type Cli, messageOf, StatusError } from "../command.ts";
import { pullWithProgress } from "../commands/image/pull.ts";
import { credentialsFor } from "../config/credentials.ts";
import { type ContainerRequest, type CreateBody, toCreateBody } from "../options/container-config.ts";
import type { ContainerFlagValues } from "../options/container-flags.ts";
import { lastOfEach } from "../options/key-values.ts";
import { familiarString, isImageId, parseReference, withDefaultTag } from "../values/reference.ts";

/** The request that the flags make. @throws StatusError 125 for what is wrong with them */
export function toCheckedBody(
  cli: Cli,
  verb: "run" | "create",
  request: Omit<ContainerRequest, "lookup">,
): CreateBody {
  try {
    checkPullOption(request.flags.pull);
    const { env } = request.flags;
    // Files of variables come first; each name once behind them, and the command line's before the settings'.
    const flags = { ...request.flags, env: lastOfEach([...env, ...proxyVariables(cli, env)]) };
    return toCreateBody({ ...request, flags, lookup: (name) => cli.environment[name] });
  } catch (error) {
    throw new StatusError(withHelp(cli, error, verb), 125, { cause: error });
  }
}

/** Docker's form of an error that help may solve. */
export function withHelp(cli: Cli, error: unknown, verb: string): string {
  return `${cli.program}: ${messageOf(error)}\n\nRun '${cli.program} ${verb} --help' for more information`;
}

function checkPullOption(value: string): void {
  if (!["always", "missing", "never", ""].includes(value)) {
    throw new Error(`invalid pull option: '${value}': must be one of "always", "missing" or "never"`);
  }
}

/** Creates, pulling first if asked to or if the image is missing. @returns the id */
export async function createFromBody(
  cli: Cli,
  body: CreateBody,
  flags: ContainerFlagValues,
): Promise<string> {
  using idFile = openIdFile(flags.cidfile);
  const reference = isImageId(body.Image ?? "")
    ? undefined
    : withDefaultTag(parseReference(body.Image ?? ""));
  const pull = async (): Promise<void> => {
    if (!reference) return;
    await pullWithProgress(cli, reference, {
      platform: flags.platform,
      output: flags.quiet ? undefined : cli.stderr,
      auth: await credentialsFor(cli, reference.domain),
    });
  };
  if (flags.pull === "always") await pull();
  const { rows, columns } = flags.tty ? cli.stdout.size : { rows: 0, columns: 0 };
  const request = {
    name: flags.name,
    platform: flags.platform,
    body: { ...body, HostConfig: { ...body.HostConfig, ConsoleSize: [rows, columns] } },
  };
  let created: Awaited<ReturnType<typeof createContainer>>;
  try {
    created = await createContainer(cli.engine, request);
  } catch (error) {
    if (!isNotFound(error) || !reference || flags.pull !== "missing") throw error;
    if (!flags.quiet) cli.stderr.line(`Unable to find image '${familiarString(reference)}' locally`);
    await pull();
    created = await createContainer(cli.engine, request);
  }
  const warnings = [...(created.Warnings ?? []), ...loopbackWarnings(flags.dns)];
  for (const warning of warnings) cli.stderr.line(`WARNING: ${warning}`);
  idFile.write(created.Id);
  return created.Id;
}

function loopbackWarnings(servers: readonly string[]): string[] {
  const address = servers.find((server) => server.startsWith("127.") || server === "::1");
  return address === undefined ? [] : [`Localhost DNS (${address}) may fail in containers.`];
}

/** `--cidfile`: must not exist, and goes away again if no container comes to be. */
function openIdFile(path: string): Disposable & { write(id: string): void } {
  if (path === "") return { write: () => {}, [Symbol.dispose]: () => {} };
  if (existsSync(path)) {
    throw new Error(`container ID file found, make sure the other container isn't running or delete ${path}`);
  }
  const descriptor = createIdFile(path);
  let written = false;
  return {
    write(id) {
      writeSync(descriptor, id);
      written = true;
    },
    [Symbol.dispose]() {
      closeSync(descriptor);
      if (!written) unlinkSync(path);
    },
  };
}

function createIdFile(path: string): number {
  try {
    return openSync(path, "wx", 0o666);
  } catch (cause) {
    const missing = hasCode(cause, "ENOENT");
    const reason = missing ? `open ${path}: no such file or directory` : messageOf(cause);
    throw new Error(`failed to create the container ID file: ${reason}`, { cause });
  }
}

const proxyNames: Readonly<Record<string, string>> = {
  httpProxy: "HTTP_PROXY",
  httpsProxy: "HTTPS_PROXY",
  noProxy: "NO_PROXY",
  ftpProxy: "FTP_PROXY",
  allProxy: "ALL_PROXY",
};

/** Proxy settings of the user's configuration, unless the command line has its own. */
export function proxyVariables(cli: Cli, environment: readonly string[]): string[] {
  const { proxies } = cli.config.settings;
  const settings = proxies?.[cli.engine.address.text] ?? proxies?.default;
  if (!settings) return [];
  const given = new Set(environment.map((item) => item.split("=")[0]));
  return Object.entries(proxyNames).flatMap(([key, name]) => {
    const value = settings[key];
    if (!value) return [];
    return [name, name.toLowerCase()]
      .filter((variable) => !given.has(variable))
      .map((variable) => `${variable}=${value}`);
  });
}
