import { afterAll, describe, test } from "bun:test";
import { hasS3, startS3, type TestS3 } from "../../../test/support/s3.ts";
import { registryBytesContract } from "../../core/registry-bytes.contract.ts";
import { S3RegistryBytes } from "./index.ts";

if (hasS3()) {
  let server: TestS3 | undefined;
  afterAll(async () => await server?.[Symbol.asyncDispose]());
  registryBytesContract("S3", async () => {
    server ??= await startS3();
    return new S3RegistryBytes({ ...server, redirects: false });
  });
} else {
  describe("S3 as RegistryBytes", () => test.skip("there is no S3 server (versitygw) on PATH", () => {}));
}
