/** The engine's composition root: the only place where drivers are constructed and handed to the use cases. */
export async function main(_args: readonly string[]): Promise<void> {
  throw new Error("not built yet");
}
