/** What every place for a registry's bytes does. Call it with a way to make an empty one. */
import { beforeEach, describe, expect, test } from "bun:test";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { RegistryBytes, UploadState } from "./registry-bytes.ts";

const LIMIT = 2 ** 40;

export function registryBytesContract(name: string, open: () => Promise<RegistryBytes>): void {
  describe(`${name} as RegistryBytes`, () => {
    let bytes: RegistryBytes;
    let id: string;
    let state: UploadState;
    beforeEach(async () => {
      bytes = await open();
      id = randomUUID();
      state = await bytes.begin(id);
    });

    const add = async (chunk: Uint8Array) => {
      ({ state } = await bytes.append(id, state, once(chunk), LIMIT));
    };
    const all = async (key: string, size: number) =>
      await gathered(bytes.read(key, { start: 0, end: size - 1 }));

    test("an upload in several chunks is one blob", async () => {
      const [first, second] = [randomBytes(3_000_000), randomBytes(70_000)];
      await add(first);
      await add(second);
      const sealed = await bytes.seal(id, state, digestOf("sha256", first, second));
      expect(sealed.size).toBe(first.length + second.length);
      expect(await all(sealed.objectKey, sealed.size)).toEqual(Buffer.concat([first, second]));
    });

    test("a part of a blob can be read", async () => {
      await add(Buffer.from("0123456789"));
      const { objectKey } = await bytes.seal(id, state, digestOf("sha256", Buffer.from("0123456789")));
      expect((await gathered(bytes.read(objectKey, { start: 3, end: 5 }))).toString()).toBe("345");
    });

    test("an empty blob is one too", async () => {
      const sealed = await bytes.seal(id, state, digestOf("sha256", new Uint8Array()));
      expect(sealed.size).toBe(0);
      expect(await all(sealed.objectKey, 0)).toHaveLength(0);
    });

    test("sha512 is taken as well", async () => {
      await add(Buffer.from("some"));
      const sealed = await bytes.seal(id, state, digestOf("sha512", Buffer.from("some")));
      expect(sealed.size).toBe(4);
    });

    test("S26: another digest is refused", async () => {
      await add(Buffer.from("some"));
      await expect(bytes.seal(id, state, digestOf("sha256", Buffer.from("other")))).rejects.toThrow(
        "not sha256",
      );
      await bytes.discard(id, state);
    });

    test("what came before a body broke off is kept, and goes on from there", async () => {
      const whole = randomBytes(200_000);
      const { state: kept, broken } = await bytes.append(
        id,
        state,
        breaking(whole.subarray(0, 150_000)),
        LIMIT,
      );
      expect(broken?.message).toBe("gone");
      state = kept;
      await add(whole.subarray(kept.offset));
      expect((await bytes.seal(id, state, digestOf("sha256", whole))).size).toBe(whole.length);
    });

    test("bytes that were never acknowledged are written over", async () => {
      const before = state;
      await add(Buffer.from("forgotten by a crash"));
      state = before;
      await add(Buffer.from("right"));
      expect((await bytes.seal(id, state, digestOf("sha256", Buffer.from("right")))).size).toBe(5);
    });

    test("an upload may not grow beyond the limit", async () => {
      await expect(bytes.append(id, state, once(new Uint8Array(11)), 10)).rejects.toThrow("larger");
      await add(Buffer.from("fits"));
      expect((await bytes.seal(id, state, digestOf("sha256", Buffer.from("fits")))).size).toBe(4);
    });

    test("two seals of one digest are two objects: removing one leaves the other", async () => {
      await add(Buffer.from("same"));
      const first = await bytes.seal(id, state, digestOf("sha256", Buffer.from("same")));
      id = randomUUID();
      state = await bytes.begin(id);
      await add(Buffer.from("same"));
      const second = await bytes.seal(id, state, digestOf("sha256", Buffer.from("same")));
      await bytes.delete(first.objectKey);
      expect((await all(second.objectKey, 4)).toString()).toBe("same");
      await expect(all(first.objectKey, 4)).rejects.toThrow("not found");
    });

    test("discard and delete may be repeated; a discarded upload cannot be sealed", async () => {
      await add(Buffer.from("gone"));
      await bytes.discard(id, state);
      await bytes.discard(id, state);
      await bytes.delete("sha256/aa/nothing");
      await expect(bytes.seal(id, state, digestOf("sha256", Buffer.from("gone")))).rejects.toThrow();
    });

    test("a sweep takes what nobody owns, and nothing else", async () => {
      await add(Buffer.from("owned"));
      const orphan = randomUUID();
      await bytes.begin(orphan);
      const future = Date.now() + 60_000;
      await bytes.sweep(future, async (found) => found.kind === "object" || found.uploadId === id);
      expect((await bytes.seal(id, state, digestOf("sha256", Buffer.from("owned")))).size).toBe(5);
      await expect(
        bytes.append(orphan, { offset: 0, sha256: "" }, once(new Uint8Array(1)), LIMIT),
      ).rejects.toThrow();
    });
  });
}

async function* once(chunk: Uint8Array): AsyncIterable<Uint8Array> {
  yield chunk;
}

async function* breaking(chunk: Uint8Array): AsyncIterable<Uint8Array> {
  yield chunk;
  throw new Error("gone");
}

async function gathered(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks));
}

function digestOf(algorithm: string, ...parts: readonly Uint8Array[]): string {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return `${algorithm}:${hash.digest("hex")}`;
}
