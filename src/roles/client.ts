/** The client's composition root: environment and terminal are read here, the rest is in `cli/`. */
export async function main(_args: readonly string[]): Promise<void> {
  throw new Error("not built yet");
}
