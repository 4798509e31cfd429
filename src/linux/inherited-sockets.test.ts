import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acceptOn } from "./inherited-sockets.ts";
import { check, libc } from "./libc.ts";

test("connections on a socket that was there before are accepted, read and answered", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-inherited-"));
  const path = join(directory, "s");
  const address = new Uint8Array(110);
  address[0] = 1;
  address.set(Buffer.from(path), 2);
  const listener = check(libc.socket(1, 1, 0), "socket");
  check(libc.bind(listener, address, address.length), "bind");
  check(libc.listen(listener, 64), "listen");
  try {
    const early = ask(path, "early");
    using _accepting = acceptOn(listener, (socket) => {
      // Half-open: the client says all, then reads.
      let heard = "";
      socket.on("data", (bytes) => {
        heard += bytes;
      });
      socket.on("end", () => socket.end(`heard ${heard}`));
    });
    expect(await early).toBe("heard early");
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(path, `${i}`)));
    expect(answers).toEqual(Array.from({ length: 40 }, (_, i) => `heard ${i}`));
  } finally {
    libc.close(listener);
    rmSync(directory, { recursive: true, force: true });
  }
});

function ask(path: string, question: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ path, allowHalfOpen: true }, () => socket.end(question));
  let answer = "";
  socket.on("data", (bytes) => {
    answer += bytes;
  });
  socket.on("end", () => resolve(answer));
  socket.on("error", reject);
  return promise;
}
