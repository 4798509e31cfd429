import { posix } from "node:path";
import {
  type ContainerPathStat,
  isDirectory,
  isRegular,
  isSymlink,
  readContainerPath,
  statContainerPath,
  writeContainerPath,
} from "../../../client/container-files.ts";
import { EngineConnectionError, EngineError } from "../../../client/errors.ts";
import { type Cli, defineCommand, exactly } from "../../command.ts";
import {
  type CopyEnd,
  checkOutputPath,
  localDestination,
  localSource,
  packLocal,
  placeCopy,
  renameArchive,
  unpackLocal,
} from "../../copy/local-files.ts";
import { CopyProgress } from "../../copy/progress.ts";
import { bool } from "../../flags/flags.ts";

interface Place {
  /** Empty: this machine. */
  readonly container: string;
  readonly path: string;
}

interface Options {
  readonly followLink: boolean;
  readonly copyUIDGID: boolean;
  readonly quiet: boolean;
}

export const command = defineCommand({
  use: "cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  short: "Copy files/folders between a container and the local filesystem",
  description: `Copy files/folders between a container and the local filesystem

Use '-' as the source to read a tar archive from stdin
and extract it to a directory destination in a container.
Use '-' as the destination to stream a tar archive of a
container source to stdout.`,
  aliases: "container cp, cp",
  args: exactly(2),
  flags: {
    archive: bool({ short: "a", usage: "Archive mode (copy all uid/gid information)" }),
    "follow-link": bool({ short: "L", usage: "Always follow symbol link in SRC_PATH" }),
    quiet: bool({
      short: "q",
      usage:
        "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
    }),
  },
  async run({ flags, changed, args: [from = "", to = ""], cli }) {
    if (from === "") throw new Error("source can not be empty");
    if (to === "") throw new Error("destination can not be empty");
    const [source, destination] = [parsePlace(from), parsePlace(to)];
    const options = {
      followLink: flags["follow-link"],
      copyUIDGID: flags.archive,
      quiet: changed("quiet") ? flags.quiet : !cli.stderr.isTerminal,
    };
    if (source.container && destination.container) await copyAcross(cli, source, destination, options);
    else if (source.container) await copyFrom(cli, source, destination.path, options);
    else if (destination.container) await copyTo(cli, source.path, destination, options);
    else throw new Error("must specify at least one container source");
  },
});

/** `CONTAINER:PATH`, or a path of this machine: an absolute one, one that begins with a dot, one without a colon. */
function parsePlace(text: string): Place {
  const colon = text.indexOf(":");
  if (text.startsWith("/") || colon < 0 || text.startsWith(".")) return { container: "", path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

async function copyFrom(cli: Cli, source: Place, path: string, options: Options): Promise<void> {
  if (path !== "-") checkOutputPath(path);
  const { end, body } = await openSource(cli, source, options);
  if (path === "-") {
    for await (const bytes of body) await cli.stdout.stream(bytes);
    return;
  }
  await watched(cli, options, { header: "Copying from container - ", where: path, body }, (content) =>
    unpackLocal(content, placeCopy(end, localDestination(path))),
  );
}

async function copyTo(cli: Cli, path: string, destination: Place, options: Options): Promise<void> {
  const end = await containerDestination(cli, destination);
  const where = `${destination.container}:${destination.path}`;
  if (path === "-" && !end.isDirectory) throw new Error(`destination "${where}" must be a directory`);
  const source = path === "-" ? undefined : localSource(path, options.followLink);
  const placement = source ? placeCopy(source, end) : { directory: end.path };
  const body = source
    ? packLocal({ ...source, rebaseName: placement.rename?.to ?? source.rebaseName })
    : Bun.stdin.stream();
  await watched(cli, options, { header: "Copying to container - ", where, body }, (content) =>
    writeContainerPath(cli.engine, destination.container, placement.directory, content, options),
  );
}

/** From one container to another. Docker's client refuses it. */
async function copyAcross(cli: Cli, source: Place, destination: Place, options: Options): Promise<void> {
  const end = await containerDestination(cli, destination);
  const opened = await openSource(cli, source, options);
  const { directory, rename } = placeCopy(opened.end, end);
  const body = rename ? renameArchive(opened.body, rename) : opened.body;
  const where = `${destination.container}:${destination.path}`;
  await watched(cli, options, { header: "Copying to container - ", where, body }, (content) =>
    writeContainerPath(cli.engine, destination.container, directory, content, options),
  );
}

async function openSource(
  cli: Cli,
  { container, path }: Place,
  { followLink }: Options,
): Promise<{ end: CopyEnd; body: AsyncIterable<Uint8Array> }> {
  const target = followLink ? await followed(cli, container, path) : path;
  const { stat, body } = await readContainerPath(cli.engine, container, target);
  const named = posix.basename(path.replace(/\/\.?$/, ""));
  const rebaseName = target !== path && posix.basename(target) !== named ? named : undefined;
  const isDir = isDirectory(stat);
  // The archive has the name of what the link leads to: that is what becomes another.
  if (rebaseName === undefined) return { end: { path: target, exists: true, isDirectory: isDir }, body };
  const rename = { from: posix.basename(target), to: rebaseName };
  return { end: { path, exists: true, isDirectory: isDir, rebaseName }, body: renameArchive(body, rename) };
}

async function followed(cli: Cli, container: string, path: string): Promise<string> {
  const stat = await statIfThere(cli, container, path);
  return stat && isSymlink(stat) ? stat.linkTarget : path;
}

/** Links at its end are followed; what is not there is made, if the directory above is. */
async function containerDestination(cli: Cli, { container, path }: Place): Promise<CopyEnd> {
  let end = path;
  let stat = await statIfThere(cli, container, path);
  if (stat && isSymlink(stat)) {
    const { linkTarget } = stat;
    end = posix.isAbsolute(linkTarget) ? linkTarget : posix.join(posix.dirname(path), linkTarget);
    stat = await statIfThere(cli, container, end);
  }
  if (stat && !isDirectory(stat) && !isRegular(stat)) {
    throw new Error(`destination "${container}:${path}" must be a directory or a regular file`);
  }
  return { path: end, exists: stat !== undefined, isDirectory: stat !== undefined && isDirectory(stat) };
}

async function statIfThere(
  cli: Cli,
  container: string,
  path: string,
): Promise<ContainerPathStat | undefined> {
  try {
    return await statContainerPath(cli.engine, container, path);
  } catch (error) {
    // What is wrong with it is said when something is to be done there.
    if (error instanceof EngineError && !(error instanceof EngineConnectionError)) return undefined;
    throw error;
  }
}

async function watched(
  cli: Cli,
  { quiet }: Options,
  {
    header,
    where,
    body,
  }: {
    header: "Copying to container - " | "Copying from container - ";
    where: string;
    body: AsyncIterable<Uint8Array>;
  },
  copy: (content: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  if (quiet) return await copy(body);
  const progress = new CopyProgress(cli.stderr, header);
  try {
    await copy(progress.watch(body));
  } catch (error) {
    progress.end();
    throw error;
  }
  progress.done(where);
}
