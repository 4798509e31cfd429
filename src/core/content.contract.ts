/** What every content store must do, whatever the driver. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { BlobInfo, ContentStore } from "./content.ts";
import { digestOf } from "./digests.ts";
import { InvalidParameterError, NotFoundError } from "./errors.ts";
import type { Digest } from "./ids.ts";

export interface ContentStoreUnderTest extends AsyncDisposable {
  readonly content: ContentStore;
  /** A second instance on the same directories, as after a crash. */
  restart(): Promise<ContentStore>;
}

/** @param make a store on directories of its own */
export function contentStoreContract(make: () => Promise<ContentStoreUnderTest>): void {
  let subject: ContentStoreUnderTest;
  let content: ContentStore;
  const { signal } = new AbortController();

  beforeEach(async () => {
    subject = await make();
    content = subject.content;
  });
  afterEach(async () => {
    await subject[Symbol.asyncDispose]();
  });

  async function list(store: ContentStore): Promise<Digest[]> {
    return (await Array.fromAsync(store.list())).map((blob) => blob.digest);
  }

  test("a document that was put is read back, and listed", async () => {
    const { digest, size } = await content.put(bytes("hello"));
    expect(size).toBe(5);
    expect(text(await content.read(digest, 100))).toBe("hello");
    expect(await content.stat(digest)).toEqual({ digest, size: 5 });
    expect(await list(content)).toEqual([digest]);
    expect(readFileSync(content.path(digest), "utf8")).toBe("hello");
  });

  test("putting it again changes nothing", async () => {
    const first = await content.put(bytes("hello"));
    expect(await content.put(bytes("hello"))).toEqual(first);
    expect(await list(content)).toHaveLength(1);
  });

  test("what is absent is said to be so", async () => {
    const digest = digestOf("absent");
    expect(await content.stat(digest)).toBeUndefined();
    expect(() => content.path(digest)).toThrow(NotFoundError);
    await expect(content.read(digest, 10)).rejects.toBeInstanceOf(NotFoundError);
    await expect(content.verify(digest, { signal })).rejects.toBeInstanceOf(NotFoundError);
    expect(await content.delete(digest)).toBe(false);
  });

  test("a document larger than the reader allows is not read", async () => {
    const { digest } = await content.put(bytes("hello"));
    await expect(content.read(digest, 4)).rejects.toBeInstanceOf(InvalidParameterError);
  });

  test("a flipped byte is found at reading and named", async () => {
    const { digest } = await content.put(bytes("hello"));
    writeFileSync(content.path(digest), "hullo");
    await expect(content.read(digest, 100)).rejects.toThrow(digest);
    await expect(content.verify(digest, { signal })).rejects.toThrow(digest);
  });

  test("putting a damaged document again repairs it", async () => {
    const { digest } = await content.put(bytes("hello"));
    writeFileSync(content.path(digest), "hullo");
    await content.put(bytes("hello"));
    expect(text(await content.read(digest, 100))).toBe("hello");
  });

  test("a deleted blob is gone", async () => {
    const { digest } = await content.put(bytes("hello"));
    expect(await content.delete(digest)).toBe(true);
    expect(await content.stat(digest)).toBeUndefined();
  });

  describe("an upload", () => {
    test("is invisible until it is committed", async () => {
      const expected = infoOf("hello world");
      await using ingest = await content.ingest(expected, { signal });
      await ingest.write(bytes("hello "));
      expect(await content.stat(expected.digest)).toBeUndefined();
      await ingest.write(bytes("world"));
      expect(await ingest.commit()).toEqual(expected);
      expect(text(await content.read(expected.digest, 100))).toBe("hello world");
    });

    test("that was interrupted continues where it stopped, also after a restart", async () => {
      const expected = infoOf("hello world");
      {
        await using ingest = await content.ingest(expected, { signal });
        await ingest.write(bytes("hello "));
      }
      const after = await subject.restart();
      await using ingest = await after.ingest(expected, { signal });
      expect(ingest.offset).toBe(6);
      await ingest.write(bytes("world"));
      await ingest.commit();
      expect(text(await after.read(expected.digest, 100))).toBe("hello world");
    });

    test("can start over", async () => {
      const expected = infoOf("hello");
      await using ingest = await content.ingest(expected, { signal });
      await ingest.write(bytes("jello"));
      await ingest.truncate();
      expect(ingest.offset).toBe(0);
      await ingest.write(bytes("hello"));
      await ingest.commit();
    });

    const wrong: [what: string, sent: string][] = [
      ["too short", "hell"],
      ["too long", "hello!"],
      ["other bytes", "jello"],
    ];
    test.each(wrong)("with %s is refused, and its bytes are thrown away", async (_, sent) => {
      const expected = infoOf("hello");
      const upload = async () => {
        await using ingest = await content.ingest(expected, { signal });
        await ingest.write(bytes(sent));
        await ingest.commit();
      };
      await expect(upload()).rejects.toBeInstanceOf(InvalidParameterError);
      expect(await list(content)).toEqual([]);
      await using again = await content.ingest(expected, { signal });
      expect(again.offset).toBe(0);
    });

    test("that is aborted leaves nothing", async () => {
      const expected = infoOf("hello");
      {
        await using ingest = await content.ingest(expected, { signal });
        await ingest.write(bytes("hel"));
        await ingest.abort();
      }
      await using again = await content.ingest(expected, { signal });
      expect(again.offset).toBe(0);
    });

    test("has one writer: a second one waits, and finds it done", async () => {
      const expected = infoOf("hello");
      const first = await content.ingest(expected, { signal });
      let entered = false;
      const second = content.ingest(expected, { signal }).then((ingest) => {
        entered = true;
        return ingest;
      });
      await first.write(bytes("hello"));
      expect(entered).toBe(false);
      await first.commit();
      await first[Symbol.asyncDispose]();
      await using done = await second;
      expect(done.offset).toBe(5);
      expect(await done.commit()).toEqual(expected);
    });

    test("whose turn does not come can be given up", async () => {
      const expected = infoOf("hello");
      await using _first = await content.ingest(expected, { signal });
      const giveUp = new AbortController();
      const second = content.ingest(expected, { signal: giveUp.signal });
      giveUp.abort(new Error("given up"));
      await expect(second).rejects.toThrow("given up");
    });

    test("that is under way does not expire, and does not keep the others waiting", async () => {
      await using ingest = await content.ingest(infoOf("hello"), { signal });
      await ingest.write(bytes("hel"));
      expect(await content.expireIngests(Date.now() + 60_000)).toBe(0);
      await ingest.write(bytes("lo"));
      await ingest.commit();
    });

    test("that no one continued expires", async () => {
      const expected = infoOf("hello");
      {
        await using ingest = await content.ingest(expected, { signal });
        await ingest.write(bytes("hel"));
      }
      expect(await content.expireIngests(Date.now() - 60_000)).toBe(0);
      expect(await content.expireIngests(Date.now() + 60_000)).toBe(3);
      await using again = await content.ingest(expected, { signal });
      expect(again.offset).toBe(0);
    });
  });

  test("a scratch directory takes what helpers write, and gives it to the store", async () => {
    let path: string;
    {
      await using scratch = await content.scratch();
      path = scratch.path;
      writeFileSync(`${path}/0`, "hello");
      writeFileSync(`${path}/1`, "left behind");
      expect(await content.adopt(`${path}/0`, infoOf("hello"))).toEqual(infoOf("hello"));
      await expect(content.adopt(`${path}/1`, infoOf("hello"))).rejects.toThrow("11 bytes");
    }
    expect(existsSync(path)).toBe(false);
    expect(await list(content)).toEqual([digestOf("hello")]);
    const left = await content.scratch();
    await subject.restart();
    expect(existsSync(left.path)).toBe(false);
  });

  describe("an upload of unknown digest", () => {
    test("is invisible until it is committed, and finds out digest and size", async () => {
      const { digest } = infoOf("hello world");
      await using upload = await content.receive("one", { signal });
      await upload.write(bytes("hello "));
      await upload.write(bytes("world"));
      expect(await list(content)).toEqual([]);
      expect(await upload.commit()).toEqual({ digest, size: 11 });
      expect(text(await content.read(digest, 100))).toBe("hello world");
    });

    test("that was interrupted continues where it stopped, also after a restart", async () => {
      const { digest } = infoOf("hello world");
      {
        await using upload = await content.receive("one", { signal });
        await upload.write(bytes("hello "));
      }
      const after = await subject.restart();
      await using upload = await after.receive("one", { signal });
      expect(upload.offset).toBe(6);
      await upload.write(bytes("world"));
      expect((await upload.commit()).digest).toBe(digest);
    });

    test("is refused if it is not what the sender says", async () => {
      const upload = await content.receive("one", { signal });
      await upload.write(bytes("jello"));
      await expect(upload.commit({ digest: digestOf("hello") })).rejects.toBeInstanceOf(
        InvalidParameterError,
      );
      expect(await list(content)).toEqual([]);
      await using again = await content.receive("one", { signal });
      expect(again.offset).toBe(0);
    });

    test("takes what a helper wrote and hashed, if its size is right", async () => {
      {
        await using upload = await content.receive("one", { signal });
        writeFileSync(upload.path, "hello");
        const size = 4;
        await expect(upload.commitWritten({ digest: digestOf("hello"), size })).rejects.toThrow(
          "4 were written",
        );
      }
      await using upload = await content.receive("one", { signal });
      writeFileSync(upload.path, "hello");
      await upload.commitWritten(infoOf("hello"));
      expect(text(await content.read(digestOf("hello"), 100))).toBe("hello");
    });

    test("of content that is there already changes nothing", async () => {
      await content.put(bytes("hello"));
      await using upload = await content.receive("one", { signal });
      await upload.write(bytes("hello"));
      await upload.commit();
      expect(await list(content)).toEqual([digestOf("hello")]);
    });

    test("has one writer for each name", async () => {
      const first = await content.receive("one", { signal });
      await using _other = await content.receive("two", { signal });
      const giveUp = new AbortController();
      const second = content.receive("one", { signal: giveUp.signal });
      giveUp.abort(new Error("given up"));
      await expect(second).rejects.toThrow("given up");
      await first.abort();
      await using third = await content.receive("one", { signal });
      expect(third.offset).toBe(0);
    });

    test("that no one continued expires", async () => {
      {
        await using upload = await content.receive("one", { signal });
        await upload.write(bytes("hel"));
        expect(await content.expireIngests(Date.now() + 60_000)).toBe(0);
      }
      expect(await content.expireIngests(Date.now() + 60_000)).toBe(3);
    });

    test.each(["", "../x", "a/b", "x".repeat(65)])("is not named %p", async (name) => {
      await expect(content.receive(name, { signal })).rejects.toBeInstanceOf(InvalidParameterError);
    });
  });
}

function infoOf(content: string): BlobInfo {
  return { digest: digestOf(content), size: content.length };
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}
