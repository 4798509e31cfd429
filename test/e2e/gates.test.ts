/** What stands before the API: authorization plugins, scoped sockets and the audit log, on a daemon of its own. */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { $ } from "bun";
import { eventually } from "../support/cli.ts";
import { oracle, startEngine } from "../support/engine.ts";

const PLUGIN_DIRECTORY = "/run/docker/plugins";

/** A plugin that refuses privileged containers, and whatever is to be removed. */
async function startPlugin(name: string): Promise<AsyncDisposable> {
  mkdirSync(PLUGIN_DIRECTORY, { recursive: true });
  const path = join(PLUGIN_DIRECTORY, `${name}.sock`);
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (bytes) => {
      body += bytes;
    });
    request.on("end", () => {
      if (request.url === "/Plugin.Activate") return response.end('{"Implements":["authz"]}');
      const { RequestMethod, RequestBody = "" } = JSON.parse(body) as Record<string, string>;
      const privileged = Buffer.from(RequestBody, "base64").toString().includes('"Privileged":true');
      const refused = request.url === "/AuthZPlugin.AuthZReq" && (privileged || RequestMethod === "DELETE");
      response.end(JSON.stringify(refused ? { Allow: false, Msg: "house rules" } : { Allow: true }));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(path, { force: true });
    },
  };
}

test.skipIf(oracle)(
  "a plugin refuses, a scoped socket shows little, and all of it is written down",
  async () => {
    const name = `gantry-test-${process.pid}`;
    await using _plugin = await startPlugin(name);
    const scoped = `/tmp/${name}.sock`;
    const audit = `/tmp/${name}.log`;
    const flags = [
      ...["--authorization-plugin", name, "--audit-log", audit],
      ...["--scoped-socket", `unix://${scoped};allow=read`],
    ];
    try {
      await using engine = await startEngine({ flags });
      const allowed = await engine.request("POST", "/volumes/create", { body: { Name: "kept" } });
      expect(allowed.status).toBe(201);
      const refused = await engine.request("POST", "/containers/create", {
        body: { Image: "a", HostConfig: { Privileged: true } },
      });
      expect([refused.status, refused.json().message]).toEqual([
        403,
        `authorization denied by plugin ${name}: house rules`,
      ]);
      expect((await engine.request("GET", "/info")).json().Plugins.Authorization).toEqual([name]);

      const reading = await $`curl -s --unix-socket ${scoped} http://x/volumes`.json();
      expect(reading.Volumes.map((volume: { Name: string }) => volume.Name)).toEqual(["kept"]);
      const writing = await $`curl -s --unix-socket ${scoped} -X POST http://x/volumes/prune`.json();
      expect(writing.message).toBe("VolumePrune is not allowed on this socket");

      const outcome = (operation: string) => outcomesOf(readFileSync(audit, "utf8"), operation);
      // The end of a call is written down once its answer is out.
      await eventually(() => outcome("VolumePrune").length > 0);
      expect([outcome("VolumeCreate"), outcome("ContainerCreate"), outcome("VolumePrune")]).toEqual([
        [201],
        [403],
        [403],
      ]);
    } finally {
      for (const path of [scoped, audit]) rmSync(path, { force: true });
    }
  },
);

/** Statuses of an operation's calls that have ended, by the audit log. */
function outcomesOf(log: string, operation: string): number[] {
  const lines = log.split("\n").filter((line) => line !== "");
  const records = lines.map(
    (line) => JSON.parse(line) as { event: string; call: unknown; operation?: string; status: number },
  );
  const calls = records.filter((record) => record.event === "call" && record.operation === operation);
  const ids = new Set(calls.map(({ call }) => call));
  return records.filter(({ event, call }) => event === "done" && ids.has(call)).map(({ status }) => status);
}
