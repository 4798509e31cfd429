/** The archive reader: what a client sends goes to a decompressor, if it is compressed, and from there to the helper. */
import { closeSync } from "node:fs";
import { compressionOf, decompressCommand, MAGIC_LENGTH } from "../../base/decompressors.ts";
import { selfCommand } from "../../base/self.ts";
import { InvalidParameterError, messageOf, NoSpaceError, SystemError } from "../../core/errors.ts";
import type { ArchivedFile, ArchiveReader } from "../../core/image-archives.ts";
import { openPipe } from "../../linux/files.ts";
import type { ReadAnswer, ReadRequest } from "./protocol.ts";

const PIPE_CAPACITY = 1 << 20;
const READ_OPTIONS = { stdout: "pipe", stderr: "pipe", killSignal: "SIGKILL" } as const;

interface ReadOptions {
  readonly into: string;
  readonly signal: AbortSignal;
}

export class HelperArchiveReader implements ArchiveReader {
  async read(input: AsyncIterable<Uint8Array>, options: ReadOptions): Promise<ArchivedFile[]> {
    const answers = await run(input, options);
    return answers.flatMap((answer): ArchivedFile[] => {
      if (answer.kind === "file") {
        return [{ name: answer.name, content: { path: answer.path, blob: answer.blob } }];
      }
      return answer.kind === "link" ? [{ name: answer.name, target: answer.target }] : [];
    });
  }
}

async function run(input: AsyncIterable<Uint8Array>, { into, signal }: ReadOptions): Promise<ReadAnswer[]> {
  signal.throwIfAborted();
  const source = input[Symbol.asyncIterator]();
  const { start, ended } = await readStart(source);
  const command = decompressorOf(start);
  const pipe = command && openPipe(PIPE_CAPACITY);
  const argument: ReadRequest = { into, parent: process.pid };
  const helper = Bun.spawn(selfCommand("internal", "read-archive", JSON.stringify(argument)), {
    ...READ_OPTIONS,
    stdin: pipe ? pipe.readEnd : "pipe",
    signal,
  });
  const decompressor =
    command &&
    pipe &&
    Bun.spawn(command, {
      stdin: "pipe",
      stdout: pipe.writeEnd,
      stderr: "pipe",
      killSignal: "SIGKILL",
      signal,
    });
  if (pipe) {
    closeSync(pipe.readEnd);
    closeSync(pipe.writeEnd);
  }
  const sink = (decompressor ?? helper).stdin as Bun.FileSink;
  const [problems, trouble] = [helper.stderr.text(), decompressor?.stderr.text()];
  let inputError: unknown;
  const feeding = feed(sink, start, ended ? undefined : source).catch((error: unknown) => {
    inputError = error;
  });
  const answers = await readAnswers(helper.stdout);
  await helper.exited;
  decompressor?.kill();
  const decompressed = await decompressor?.exited;
  signal.throwIfAborted();
  const last = answers.at(-1);
  // It read to the end: so did the feeding. A helper that failed reads no more, and the client may go on sending.
  if (last?.kind === "done") await feeding;
  if (inputError !== undefined) throw inputError;
  const complaint = decompressed ? (await trouble)?.trim().split("\n").at(-1) : undefined;
  if (last?.kind === "failed") throw toError(last, complaint);
  if (last?.kind !== "done") {
    throw new SystemError(`the archive helper ended without an answer: ${(await problems).trim()}`);
  }
  if (complaint) throw new InvalidParameterError(`invalid archive: ${complaint}`);
  return answers;
}

/** The beginning of the input, as much as it takes to tell what it is. */
async function readStart(source: AsyncIterator<Uint8Array>): Promise<{ start: Uint8Array; ended: boolean }> {
  let start: Uint8Array = new Uint8Array(0);
  while (start.byteLength < MAGIC_LENGTH) {
    const { done, value } = await source.next();
    if (done) return { start, ended: true };
    start = start.byteLength === 0 ? value : Buffer.concat([start, value]);
  }
  return { start, ended: false };
}

function decompressorOf(start: Uint8Array): string[] | undefined {
  const compression = compressionOf(start);
  try {
    return compression && decompressCommand(compression);
  } catch (error) {
    throw new InvalidParameterError(messageOf(error), { cause: error });
  }
}

/** Writes until the end, or until nobody reads any more. @throws what the input throws */
async function feed(
  sink: Bun.FileSink,
  start: Uint8Array,
  source: AsyncIterator<Uint8Array> | undefined,
): Promise<void> {
  const write = async (bytes: Uint8Array): Promise<boolean> => {
    try {
      await sink.write(bytes);
      await sink.flush();
      return true;
    } catch {
      // Broken pipe: the other side tells why.
      return false;
    }
  };
  try {
    let wanted = await write(start);
    while (source && wanted) {
      const { done, value } = await source.next();
      if (done) break;
      wanted = await write(value);
    }
  } finally {
    try {
      await sink.end();
    } catch {
      // It has closed already.
    }
  }
}

async function readAnswers(lines: ReadableStream<Uint8Array>): Promise<ReadAnswer[]> {
  const text = await new Response(lines).text();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ReadAnswer);
}

function toError(failure: ReadAnswer & { kind: "failed" }, complaint: string | undefined): Error {
  if (failure.reason === "no-space") {
    return new NoSpaceError(`no space left on device: reading the archive: ${failure.message}`);
  }
  if (failure.reason === "system") return new SystemError(`reading the archive: ${failure.message}`);
  return new InvalidParameterError(
    `invalid archive: ${failure.message}${complaint ? ` (${complaint})` : ""}`,
  );
}
