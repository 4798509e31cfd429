import { describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentStoreContract } from "../../core/content.contract.ts";
import { digestOf } from "../../core/digests.ts";
import { SystemError } from "../../core/errors.ts";
import { FileContentStore } from "./index.ts";

function makeStore() {
  const dataRoot = mkdtempSync(join(tmpdir(), "gantry-content-"));
  return {
    dataRoot,
    content: FileContentStore.open({ dataRoot }),
    restart: async () => FileContentStore.open({ dataRoot }),
    [Symbol.asyncDispose]: async () => rmSync(dataRoot, { recursive: true }),
  };
}

describe("content in files", () => contentStoreContract(async () => makeStore()));

test("a writer that is killed in the middle leaves bytes that the next one continues", async () => {
  await using subject = makeStore();
  const whole = new Uint8Array(3 << 20).fill(7);
  const expected = { digest: digestOf(whole), size: whole.byteLength };
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "fixtures", "die-while-writing.ts")], {
    env: { ...process.env, DATA_ROOT: subject.dataRoot, DIGEST: expected.digest },
  });
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");

  await using ingest = await subject.content.ingest(expected, { signal: new AbortController().signal });
  expect(ingest.offset).toBe(1 << 20);
  await ingest.write(whole.subarray(ingest.offset));
  expect(await ingest.commit()).toEqual(expected);
});

const flushes: [what: string, before: number][] = [
  ["the content", 0],
  ["its directory", 1],
];
test.each(flushes)(
  "when flushing %s fails, nothing is left that a later try could trust",
  async (_, good) => {
    await using subject = makeStore();
    const { signal } = new AbortController();
    const bytes = new TextEncoder().encode("hello");
    const expected = { digest: digestOf(bytes), size: bytes.byteLength };
    {
      await using ingest = await subject.content.ingest(expected, { signal });
      await ingest.write(bytes);
      using _disk = await failingSync(good);
      await expect(ingest.commit()).rejects.toThrow(SystemError);
    }
    expect(await subject.content.stat(expected.digest)).toBeUndefined();
    await using again = await subject.content.ingest(expected, { signal });
    expect(again.offset).toBe(0);
    await again.write(bytes);
    expect(await again.commit()).toEqual(expected);
  },
);

/** fsync gives EIO after so many that succeed, as a disk that fails would. */
async function failingSync(good: number): Promise<Disposable> {
  await using handle = await open("/dev/null");
  let calls = 0;
  const sync = spyOn(Object.getPrototypeOf(handle), "sync");
  return sync.mockImplementation(async () => {
    if (calls++ >= good) throw Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" });
  });
}
