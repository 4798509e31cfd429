/** Copies a tree in a process of its own (coreutils cp). */
import { NoSpaceError, SystemError } from "../../core/errors.ts";

/** With everything that a layer is made of: owners, times, attributes, links, devices; blocks are shared where they can be. */
export async function copyTree(
  from: string,
  to: string,
  signal: AbortSignal,
  { link = false }: { readonly link?: boolean } = {},
): Promise<void> {
  const command = [
    "cp",
    "--archive",
    // Layers never change: their files may be the same.
    ...(link ? ["--link"] : []),
    "--reflink=auto",
    "--sparse=auto",
    "--no-target-directory",
    "--",
    from,
    to,
  ];
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    signal,
    killSignal: "SIGKILL",
  });
  const problem = (await child.stderr.text()).trim();
  const code = await child.exited;
  signal.throwIfAborted();
  if (code === 0) return;
  if (problem.includes("No space left on device"))
    throw new NoSpaceError(`no space left on device: ${problem}`);
  throw new SystemError(`copying ${from}: ${problem}`);
}
