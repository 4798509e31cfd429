/** Programs of the host that answer on their standard output. Arguments are handed over as they are: there is no shell. */
const TIMEOUT_MS = 30_000;

export class ProgramError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ProgramError";
  }
}

/** @param input for its standard input @throws ProgramError with its own words if it fails */
export async function runProgram(command: readonly string[], input = ""): Promise<string> {
  const child = Bun.spawn([...command], {
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: TIMEOUT_MS,
  });
  const [output, complaint, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0) throw new ProgramError(`${command.join(" ")}: ${complaint.trim() || `exit ${status}`}`);
  return output;
}
