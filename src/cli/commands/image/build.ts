import { readFileSync, writeFileSync } from "node:fs";
import { type BuildRequest, buildImage } from "../../../client/build.ts";
import { proxyVariables } from "../../actions/create-container.ts";
import { openContext } from "../../build/context.ts";
import { PlainBuildProgress } from "../../build/progress.ts";
import { type Cli, defineCommand, exactly } from "../../command.ts";
import { readInput } from "../../copy/whole-file.ts";
import { platformFlag } from "../../flags/common-flags.ts";
import { bool, custom, customList, list, string } from "../../flags/flags.ts";
import { checkExtraHost, parseUlimit } from "../../options/checks.ts";
import { checkLabel, toMap } from "../../options/key-values.ts";
import { parseBytes } from "../../values/units.ts";

const REMOTE = /^(https?:\/\/|git:\/\/|git@|ssh:\/\/|github\.com\/)|\.git(#.*)?$/;

export const command = defineCommand({
  use: "build [OPTIONS] PATH | URL | -",
  short: "Build an image from a Dockerfile",
  aliases: "image build, build",
  args: exactly(1),
  flags: {
    "add-host": list({ usage: 'Add a custom host-to-IP mapping (format: "host:ip")', check: checkExtraHost }),
    "build-arg": list({ usage: "Set build-time variables" }),
    "cache-from": list({ usage: "Images to consider as cache sources" }),
    file: string({ short: "f", usage: 'Name of the Dockerfile (default: "PATH/Dockerfile")' }),
    iidfile: string({ usage: "Write the image ID to a file" }),
    label: list({ usage: "Set metadata for an image", check: checkLabel }),
    network: string({
      usage: 'Set the networking mode for the "RUN" instructions during build',
      initial: "default",
    }),
    "no-cache": bool({ usage: "Do not use cache when building the image" }),
    platform: platformFlag,
    progress: string({ usage: 'Set type of progress output ("auto", "quiet", "plain")', initial: "auto" }),
    pull: bool({ usage: "Always attempt to pull all referenced images" }),
    quiet: bool({ short: "q", usage: "Suppress the build output and print image ID on success" }),
    "shm-size": custom({
      usage: "Shared memory size for build containers",
      type: "bytes",
      initial: 0,
      parse: parseBytes,
    }),
    tag: list({ short: "t", usage: 'Name and optionally a tag (format: "name:tag")' }),
    target: string({ usage: "Set the target build stage to build" }),
    ulimit: customList({ usage: "Ulimit options", type: "ulimit", parse: parseUlimit, defaultText: "[]" }),
  },
  async run({ flags, args: [path = ""], cli }) {
    if (!["auto", "plain", "quiet"].includes(flags.progress)) {
      throw new Error(`invalid progress mode ${flags.progress}: one of auto, plain, quiet`);
    }
    const quiet = flags.quiet || flags.progress === "quiet";
    const request: BuildRequest = {
      ...contextOf(path, flags.file),
      tags: flags.tag,
      buildArgs: buildArguments(cli, flags["build-arg"]),
      labels: toMap(flags.label),
      target: flags.target,
      cacheFrom: flags["cache-from"],
      noCache: flags["no-cache"],
      pull: flags.pull,
      platform: flags.platform,
      networkMode: flags.network,
      extraHosts: flags["add-host"],
      shmSize: flags["shm-size"],
      ulimits: flags.ulimit,
      credentials: await allCredentials(cli),
    };
    const progress = quiet ? undefined : new PlainBuildProgress(cli.stderr);
    let image = "";
    for await (const message of buildImage(cli.engine, request)) {
      if (message.kind === "image") image = message.id;
      else progress?.show(message.status);
    }
    if (flags.iidfile !== "") writeFileSync(flags.iidfile, image);
    if (quiet) cli.stdout.line(image);
  },
});

/** A directory, an address, or standard input: an archive or a Dockerfile, whichever it is. */
function contextOf(path: string, file: string): Pick<BuildRequest, "context" | "remote" | "dockerfile"> {
  if (path === "-") {
    if (file === "-")
      throw new Error("invalid argument: can't use stdin for both build context and dockerfile");
    return { context: readInput(), remote: "", dockerfile: file };
  }
  if (REMOTE.test(path)) return { context: undefined, remote: path, dockerfile: file };
  const { content, dockerfile } = openContext(path, file, file === "-" ? readFileSync(0) : undefined);
  return { context: content, remote: "", dockerfile };
}

/** A name alone takes its value from the environment, and nothing if it is not there. */
function buildArguments(cli: Cli, given: readonly string[]): Record<string, string | null> {
  const own = given.map((text): [string, string | null] => {
    const [name = "", ...rest] = text.split("=");
    return [name, rest.length > 0 ? rest.join("=") : (cli.environment[name] ?? null)];
  });
  const proxies = proxyVariables(cli, given).map((text): [string, string] => {
    const [name = "", ...rest] = text.split("=");
    return [name, rest.join("=")];
  });
  return Object.fromEntries([...proxies, ...own]);
}

/** Of every registry that the user has logged in to: which ones a build asks, the engine finds out. */
async function allCredentials(cli: Cli): Promise<Record<string, object>> {
  const { auths = {}, credHelpers = {} } = cli.config.settings;
  const found: Record<string, object> = {};
  for (const registry of new Set([...Object.keys(auths), ...Object.keys(credHelpers)])) {
    const credentials = await cli.config.findCredentials(registry).catch(() => undefined);
    if (credentials) found[registry] = credentials;
  }
  return found;
}
