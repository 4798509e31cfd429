/** The limit of what a runtime may take to make a process: far longer than anything legitimate, shorter than for ever. */
import { SystemError } from "../../core/errors.ts";

/** Milliseconds. */
const START_DEADLINE = 120_000;

/** Settles with the work, or rejects first: with the signal's reason, or after the time limit. The work goes on. */
export async function within<T>(
  work: Promise<T>,
  {
    what,
    milliseconds = START_DEADLINE,
    signal,
  }: { what: string; milliseconds?: number; signal?: AbortSignal },
): Promise<T> {
  signal?.throwIfAborted();
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal?.reason);
  const timer = setTimeout(
    () => reject(new SystemError(`${what} took longer than ${milliseconds / 1000} seconds: given up`)),
    milliseconds,
  );
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, givenUp]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
