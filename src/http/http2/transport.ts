/**
 * A connection that left HTTP/1.1 as what node:http2 talks over. Not the socket itself: Bun's library would read from
 * the descriptor and miss what the client sent early.
 */
import { Duplex } from "node:stream";
import type { RawConnection } from "../exchange.ts";

/** Destroying it gives the connection up. Who closes its half of an HTTP/2 connection is gone. */
export function toDuplex(raw: RawConnection): Duplex {
  const input = raw.input[Symbol.asyncIterator]();
  let reading = false;
  const duplex = new Duplex({
    read() {
      if (!reading) void pump();
    },
    write(bytes: Buffer, _encoding, done) {
      raw.write(bytes).then(() => done(), done);
    },
    writev(pieces: { chunk: Buffer }[], done) {
      raw.write(Buffer.concat(pieces.map(({ chunk }) => chunk))).then(() => done(), done);
    },
    final(done) {
      raw.end().then(() => done(), done);
    },
    destroy(error, done) {
      raw[Symbol.dispose]();
      done(error);
    },
  });
  async function pump(): Promise<void> {
    reading = true;
    try {
      for (let more = true; more; ) {
        const { done, value } = await input.next();
        if (done) return void duplex.destroy();
        more = duplex.push(value);
      }
    } catch (error) {
      duplex.destroy(error as Error);
    } finally {
      reading = false;
    }
  }
  void raw.closed.then(() => duplex.destroy());
  return duplex;
}
