/** An archive as it came, known by its first bytes; programs of the host take it apart, or this one where it has none. */
import { selfCommand } from "../../base/self.ts";
import { InvalidParameterError } from "../../core/errors.ts";

const LONGEST_MAGIC = 6;

/** @throws InvalidParameterError if it is no good, or this host cannot read it */
export async function decompressing(
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const source = content[Symbol.asyncIterator]();
  const pieces: Uint8Array[] = [];
  for (let length = 0; length < LONGEST_MAGIC; ) {
    const { value, done } = await source.next();
    if (done) break;
    pieces.push(value);
    length += value.byteLength;
  }
  const whole = rejoined(pieces, source);
  const command = decompressorFor(Buffer.concat(pieces).subarray(0, LONGEST_MAGIC).toString("hex"));
  return command ? piped(command, whole, signal) : whole;
}

function decompressorFor(start: string): string[] | undefined {
  if (start.startsWith("1f8b"))
    return program("igzip", "-dc") ?? selfCommand("internal", "decompress", "gzip");
  if (start.startsWith("28b52ffd"))
    return program("zstd", "-dcq") ?? selfCommand("internal", "decompress", "zstd");
  if (start.startsWith("425a68")) return program("bzip2", "-dc") ?? missing("bzip2");
  if (start.startsWith("fd377a585a00")) return program("xz", "-dc") ?? missing("xz");
  return undefined;
}

function program(name: string, ...args: string[]): string[] | undefined {
  const path = Bun.which(name);
  return path === null ? undefined : [path, ...args];
}

function missing(name: string): never {
  throw new InvalidParameterError(
    `the archive is compressed with ${name}, which is not installed on the engine's host`,
  );
}

async function* rejoined(
  pieces: readonly Uint8Array[],
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* pieces;
  for (let step = await source.next(); !step.done; step = await source.next()) yield step.value;
}

async function* piped(
  command: string[],
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const child = Bun.spawn(command, {
    stdio: ["pipe", "pipe", "pipe"],
    cwd: "/",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    signal,
    killSignal: "SIGKILL",
  });
  let failed: unknown;
  const fed = (async () => {
    for await (const bytes of content) {
      child.stdin.write(bytes);
      await child.stdin.flush();
    }
  })()
    .catch((error) => {
      failed = error;
    })
    .finally(() => child.stdin.end())
    .catch(() => {});
  try {
    const problem = child.stderr.text();
    yield* child.stdout as unknown as AsyncIterable<Uint8Array>;
    await fed;
    if ((await child.exited) !== 0) {
      const last = (await problem).trim().split("\n").at(-1);
      throw new InvalidParameterError(
        `the archive cannot be decompressed: ${last || "invalid compressed data"}`,
      );
    }
    if (failed !== undefined) throw failed;
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}
