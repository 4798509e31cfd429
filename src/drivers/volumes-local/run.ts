/** Runs a small program of the host to its end: cp, rm, du, mount. Never a shell, never one from a container. */
import { SystemError } from "../../core/errors.ts";

export interface RunOptions {
  /** Kills it. */
  readonly signal?: AbortSignal;
  /** An open descriptor that the child has as number 3. */
  readonly descriptor?: number;
}

/** @throws SystemError with what it wrote to stderr, if it did not end with 0 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<{ stdout: string }> {
  const { signal, descriptor } = options;
  const child = Bun.spawn([...argv], {
    stdio: ["ignore", "pipe", "pipe", ...(descriptor === undefined ? [] : [descriptor])],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    signal,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout as ReadableStream).text(),
    new Response(child.stderr as ReadableStream).text(),
    child.exited,
  ]);
  signal?.throwIfAborted();
  if (code !== 0) throw new SystemError(`${argv[0]}: ${stderr.trim() || `exit status ${code}`}`);
  return { stdout };
}
