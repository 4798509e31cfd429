/** The layer compressor: `gantry internal compress` from file to file. */
import { closeSync, openSync } from "node:fs";
import { compressionOf, decompressCommand, MAGIC_LENGTH } from "../../../base/decompressors.ts";
import { selfCommand } from "../../../base/self.ts";
import type { BlobInfo } from "../../../core/content.ts";
import { InvalidParameterError, NoSpaceError, SystemError } from "../../../core/errors.ts";
import type { LayerCompressor } from "../../../core/layers.ts";
import { openPipe } from "../../../linux/files.ts";

const PIPE_CAPACITY = 1 << 20;

export class HelperCompressor implements LayerCompressor {
  async compress({
    file,
    into,
    signal,
  }: {
    file: string;
    into: string;
    signal: AbortSignal;
  }): Promise<BlobInfo> {
    const compression = compressionOf(await Bun.file(file).slice(0, MAGIC_LENGTH).bytes());
    const source = openSync(file, "r");
    const target = openSync(into, "w", 0o600);
    const end = { signal, killSignal: "SIGKILL" } as const;
    const pipe = compression && openPipe(PIPE_CAPACITY);
    const before =
      compression &&
      pipe &&
      Bun.spawn(decompressCommand(compression), { ...end, stdio: [source, pipe.writeEnd, "ignore"] });
    const child = Bun.spawn(selfCommand("internal", "compress", "gzip"), {
      ...end,
      stdio: [pipe ? pipe.readEnd : source, target, "pipe"],
    });
    for (const descriptor of [source, target, ...(pipe ? [pipe.readEnd, pipe.writeEnd] : [])])
      closeSync(descriptor);
    const last = (await child.stderr.text()).trim().split("\n").at(-1) ?? "";
    const code = await child.exited;
    const problem = (await before?.exited) ?? 0;
    signal.throwIfAborted();
    if (problem !== 0) throw new InvalidParameterError(`${file} cannot be decompressed`);
    if (code === 0) return JSON.parse(last) as BlobInfo;
    const message = `compressing ${file}: ${last}`;
    throw /ENOSPC|EDQUOT/.test(last)
      ? new NoSpaceError(`no space left on device: ${message}`)
      : new SystemError(message);
  }
}
