/** What stands before the API: authorization plugins, scoped sockets and the audit log, on a daemon of its own. */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { $ } from "bun";
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

      const records = readFileSync(audit, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      const calls = new Map(
        records.filter(({ event }) => event === "call").map((record) => [record.call, record]),
      );
      const outcome = (operation: string) =>
        records
          .filter(({ event, call }) => event === "done" && calls.get(call)?.operation === operation)
          .map(({ status }) => status);
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
