/** An S3 server of other makers (versitygw) on a free port of loopback, where it is on PATH. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./registry.ts";

export interface TestS3 extends AsyncDisposable {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

const program = process.env.GANTRY_TEST_S3 ?? Bun.which("versitygw") ?? undefined;

export function hasS3(): boolean {
  return program !== undefined;
}

export async function startS3(): Promise<TestS3> {
  if (program === undefined) throw new Error("there is no S3 server");
  const directory = mkdtempSync(join(tmpdir(), "gantry-s3-"));
  const bucket = "registry";
  mkdirSync(join(directory, "data", bucket), { recursive: true });
  mkdirSync(join(directory, "meta"));
  const port = await freePort();
  const [accessKeyId, secretAccessKey] = ["tests", "tests-secret-key"];
  const server = Bun.spawn(
    [
      program,
      "--port",
      `127.0.0.1:${port}`,
      "posix",
      "--sidecar",
      join(directory, "meta"),
      join(directory, "data"),
    ],
    {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
      env: { PATH: process.env.PATH ?? "", ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
    },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 20_000;
  while (
    !(await fetch(endpoint).then(
      () => true,
      () => false,
    ))
  ) {
    if (Date.now() > deadline || server.exitCode !== null) throw new Error("the S3 server did not start");
    await Bun.sleep(50);
  }
  return {
    endpoint,
    bucket,
    accessKeyId,
    secretAccessKey,
    region: "us-east-1",
    [Symbol.asyncDispose]: async () => {
      server.kill();
      await server.exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
