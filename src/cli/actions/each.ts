/** The same action on several objects, reported in the order in which they were named. */
import { type Cli, joinErrors } from "../command.ts";

/** Acts on many at a time; prints the name of each success, throws what failed, one line each. */
export async function eachInParallel(
  cli: Cli,
  names: readonly string[],
  act: (name: string) => Promise<void>,
): Promise<void> {
  const outcomes = inBatches(names, act);
  const errors: unknown[] = [];
  for (const [at, name] of names.entries()) {
    const failure = await outcomes[at];
    if (failure) errors.push(failure.error);
    else cli.stdout.line(name);
  }
  const joined = joinErrors(errors);
  if (joined) throw joined;
}

const MOST_AT_ONCE = 50;

/** Starts at most so many at once; each outcome is a failure or nothing. */
export function inBatches(
  names: readonly string[],
  act: (name: string) => Promise<void>,
): Promise<{ readonly error: unknown } | undefined>[] {
  const outcomes: Promise<{ readonly error: unknown } | undefined>[] = [];
  for (const [at, name] of names.entries()) {
    const turn = at < MOST_AT_ONCE ? Promise.resolve(undefined) : outcomes[at - MOST_AT_ONCE];
    outcomes.push(
      (turn as Promise<unknown>)
        .then(() => act(name))
        .then(
          () => undefined,
          (error: unknown) => ({ error }),
        ),
    );
  }
  return outcomes;
}

/** One after another. */
export async function eachInTurn(
  cli: Cli,
  names: readonly string[],
  act: (name: string) => Promise<void>,
): Promise<void> {
  const errors: unknown[] = [];
  for (const name of names) {
    try {
      await act(name);
      cli.stdout.line(name);
    } catch (error) {
      errors.push(error);
    }
  }
  const joined = joinErrors(errors);
  if (joined) throw joined;
}
