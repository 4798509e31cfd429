import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HttpPlugins } from "./index.ts";

let root = "";
const at = (...parts: string[]) => join(root, ...parts);

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-plugins-"));
  for (const directory of ["run", "etc", "lib", "run/nested", "etc/inside"]) mkdirSync(at(directory));
});
afterAll(() => rmSync(root, { recursive: true }));

const plugins = () => new HttpPlugins({ sockets: at("run"), specs: [at("etc"), at("lib")] });

type Answers = Readonly<Record<string, (args: unknown, request: IncomingMessage) => unknown>>;

/** A plugin: each answer is a JSON value, or a whole reply by a function of the listener's kind. */
function listener(answers: Answers): RequestListener {
  return (request, response) => {
    let body = "";
    request.on("data", (bytes) => {
      body += bytes;
    });
    request.on("end", () => {
      const answer = answers[(request.url ?? "").slice(1)];
      const value = answer?.(body === "" ? undefined : JSON.parse(body), request);
      if (value === undefined) response.writeHead(404).end("no such method\n");
      else if (value === "hang") return;
      else if (typeof value === "string") response.end(value);
      else
        response
          .writeHead("Err" in Object(value) && "status" in Object(value) ? 500 : 200)
          .end(JSON.stringify(value));
    });
  };
}

async function serve(server: Server, where: string | number): Promise<AsyncDisposable & { port: number }> {
  await new Promise<void>((resolve) =>
    typeof where === "string" ? server.listen(where, resolve) : server.listen(where, "127.0.0.1", resolve),
  );
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : 0,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const volume: Answers = {
  "Plugin.Activate": () => ({ Implements: ["VolumeDriver"] }),
  "VolumeDriver.Echo": (args, { headers, method }) => ({
    args,
    method,
    accept: headers.accept,
    host: headers.host,
  }),
  "VolumeDriver.Fails": () => ({ Err: "no room" }),
  "VolumeDriver.FailsHard": () => ({ Err: "broken", status: 500 }),
  "VolumeDriver.Nonsense": () => "<html>",
  "VolumeDriver.Hang": () => "hang",
  "VolumeDriver.Huge": () => "x".repeat(5 * 1024 * 1024),
  "VolumeDriver.Lines": () => "one\ntwo\n",
};

describe("a plugin", () => {
  test("is found as a socket, also in a directory of its name, and called as Docker calls it", async () => {
    for (const path of ["run/plain.sock", "run/nested/nested.sock"]) {
      await using _server = await serve(createServer(listener(volume)), at(path));
      const plugin = await plugins().get(path.includes("nested") ? "nested" : "plain", "VolumeDriver");
      expect(await plugin.call<object>("VolumeDriver.Echo", { Name: "v" })).toEqual({
        args: { Name: "v" },
        method: "POST",
        accept: "application/vnd.docker.plugins.v1.2+json",
        host: "plugin.moby.localhost",
      });
      rmSync(at(path), { force: true });
    }
  });

  test("is found by .spec and .json, the first directory first", async () => {
    await using server = await serve(createServer(listener(volume)), 0);
    writeFileSync(at("etc/by-spec.spec"), `tcp://127.0.0.1:${server.port}\n`);
    writeFileSync(at("lib/by-spec.spec"), "tcp://127.0.0.1:1\n");
    writeFileSync(
      at("etc/inside/inside.json"),
      JSON.stringify({ Name: "other", Addr: `http://127.0.0.1:${server.port}` }),
    );
    for (const name of ["by-spec", "inside"]) {
      expect((await plugins().get(name, "VolumeDriver")).name).toBe(name);
    }
    const found = await plugins().all("VolumeDriver", { timeout: 300 });
    expect(found.map(({ name }) => name)).toEqual(["by-spec", "inside"]);
    expect(await plugins().all("NetworkDriver", { timeout: 300 })).toEqual([]);
    for (const file of ["etc/by-spec.spec", "lib/by-spec.spec", "etc/inside/inside.json"]) rmSync(at(file));
  });

  test("speaks TLS with the certificates of its file, and is refused with others", async () => {
    const openssl = (line: string) =>
      execFileSync("openssl", line.split(" "), { cwd: root, stdio: "ignore" });
    const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for (const name of ["server", "stranger"]) {
      openssl(
        `req -x509 ${key} -keyout ${name}.key -out ${name}.pem -subj /CN=${name} -addext subjectAltName=IP:127.0.0.1 -days 2`,
      );
    }
    const tls = { cert: readFileSync(at("server.pem")), key: readFileSync(at("server.key")) };
    await using server = await serve(createTlsServer(tls, listener(volume)) as unknown as Server, 0);
    const write = (name: string, TLSConfig: object) =>
      writeFileSync(
        at(`etc/${name}.json`),
        JSON.stringify({ Addr: `https://127.0.0.1:${server.port}`, TLSConfig }),
      );
    write("trusted", { CAFile: at("server.pem") });
    write("untrusted", { CAFile: at("stranger.pem") });
    write("whoever", {});
    write("missing", { CAFile: at("nowhere.pem") });
    expect((await plugins().get("trusted", "VolumeDriver")).interfaces).toEqual(["VolumeDriver"]);
    expect((await plugins().get("whoever", "VolumeDriver")).interfaces).toEqual(["VolumeDriver"]);
    await expect(plugins().get("untrusted", "VolumeDriver")).rejects.toThrow("plugin untrusted failed");
    await expect(plugins().get("missing", "VolumeDriver")).rejects.toThrow("nowhere.pem");
    for (const name of ["trusted", "untrusted", "whoever", "missing"]) rmSync(at(`etc/${name}.json`));
  });

  test("that is not there, or is something else, is told by its name; names are no paths", async () => {
    await expect(plugins().get("nobody", "VolumeDriver")).rejects.toThrow('plugin "nobody" not found');
    writeFileSync(at("secret.spec"), "tcp://127.0.0.1:1");
    await expect(plugins().get("../secret", "VolumeDriver")).rejects.toThrow("not found");
    await using _server = await serve(createServer(listener(volume)), at("run/other.sock"));
    await expect(plugins().get("other", "NetworkDriver")).rejects.toThrow(
      'Plugin does not implement the requested driver: plugin="other", requested implementation="NetworkDriver"',
    );
  });

  test("with a file that makes no sense is refused by the file's name", async () => {
    for (const [name, text] of [
      ["a.spec", "nothing"],
      ["b.json", "{"],
      ["c.json", "{}"],
      ["d.spec", `unix://${"x".repeat(100_000)}`],
    ] as const) {
      writeFileSync(at("etc", name), text);
      await expect(plugins().get(name.slice(0, 1), "VolumeDriver")).rejects.toThrow(name);
      rmSync(at("etc", name));
    }
    writeFileSync(at("etc/e.spec"), "gopher://x");
    await expect(plugins().get("e", "VolumeDriver")).rejects.toThrow("unknown kind: gopher://x");
    rmSync(at("etc/e.spec"));
  });

  test("is waited for by those who have patience, and tried again while nobody listens", async () => {
    const coming = plugins().get("late", "VolumeDriver", { patience: 5_000 });
    await Bun.sleep(50);
    await using first = await serve(createServer(listener(volume)), at("run/late.sock"));
    const plugin = await coming;
    await first[Symbol.asyncDispose]();
    rmSync(at("run/late.sock"), { force: true });
    const call = plugin.call<{ args: object }>("VolumeDriver.Echo", { n: 1 });
    await Bun.sleep(50);
    await using _second = await serve(createServer(listener(volume)), at("run/late.sock"));
    expect((await call).args).toEqual({ n: 1 });
  });

  test("that the engine runs itself is registered, and forgotten", async () => {
    await using _server = await serve(createServer(listener(volume)), at("managed.sock"));
    const found = plugins();
    const registration = found.register({
      name: "vieux/sshfs:latest",
      address: `unix://${at("managed.sock")}`,
    });
    expect((await found.get("vieux/sshfs:latest", "VolumeDriver")).name).toBe("vieux/sshfs:latest");
    registration[Symbol.dispose]();
    await expect(found.get("vieux/sshfs:latest", "VolumeDriver")).rejects.toThrow("not found");
  });
});

describe("a call", () => {
  async function answering() {
    const path = at("run/answers.sock");
    rmSync(path, { force: true });
    const server = await serve(createServer(listener(volume)), path);
    return {
      plugin: await plugins().get("answers", "VolumeDriver"),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  }

  test("fails in the plugin's own words", async () => {
    await using both = await answering();
    const failing: [string, string][] = [
      ["VolumeDriver.Fails", "no room"],
      ["VolumeDriver.FailsHard", "VolumeDriver.FailsHard: broken"],
      ["VolumeDriver.Absent", "VolumeDriver.Absent: no such method"],
      ["VolumeDriver.Nonsense", "no JSON object"],
      ["VolumeDriver.Huge", "larger than"],
    ];
    for (const [method, message] of failing) {
      await expect(both.plugin.call(method)).rejects.toThrow(message);
    }
  });

  test("that is not answered ends in time, or when it is given up", async () => {
    await using both = await answering();
    await expect(both.plugin.call("VolumeDriver.Hang", {}, { timeout: 100 })).rejects.toThrow(
      "plugin answers did not answer VolumeDriver.Hang within 0.1 s",
    );
    const abort = new AbortController();
    const call = both.plugin.call("VolumeDriver.Hang", {}, { signal: abort.signal });
    abort.abort(new Error("no longer wanted"));
    await expect(call).rejects.toThrow("no longer wanted");
    await using _gone = { [Symbol.asyncDispose]: async () => undefined };
    await both[Symbol.asyncDispose]();
    rmSync(at("run/answers.sock"), { force: true });
    await expect(both.plugin.call("VolumeDriver.Echo", {}, { timeout: 200 })).rejects.toThrow("within 0.2 s");
  });

  test("may be answered with a stream", async () => {
    await using both = await answering();
    let text = "";
    for await (const bytes of await both.plugin.stream("VolumeDriver.Lines"))
      text += Buffer.from(bytes).toString();
    expect(text).toBe("one\ntwo\n");
    await expect(both.plugin.stream("VolumeDriver.Absent")).rejects.toThrow("no such method");
  });
});
