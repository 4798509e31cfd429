import { defineCommand, noArgs } from "../../command.ts";
import { readInput } from "../../terminal/session.ts";

/** What `ssh` runs for a client that is elsewhere. */
export const command = defineCommand({
  use: "dial-stdio",
  short: "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
  args: noArgs,
  flags: {},
  async run({ cli }) {
    const connection = await cli.engine.dial();
    const sending = (async () => {
      for await (const bytes of readInput()) await connection.write(bytes);
      await connection.halfClose();
    })();
    // The engine's end is the end: standard input may stay open for ever.
    const receiving = (async () => {
      for await (const bytes of connection.output) await cli.stdout.stream(bytes);
    })();
    await Promise.race([receiving, sending.then(() => receiving)]);
  },
});
