import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentStoreContract } from "../../core/content.contract.ts";
import { digestOf } from "../../core/digests.ts";
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
