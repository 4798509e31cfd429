/** `logs`: follow, tail, since, until, timestamps, both streams, long lines, bytes of any kind. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { oracle } from "../support/engine.ts";
import { useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine();

withEachClient(suite, "logs", (cli) => {
  const finished = async (script: string): Promise<string> => {
    const id = await cli.ok("run", "-d", "busybox", "sh", "-c", script);
    await cli.ok("wait", id);
    return id;
  };

  test("both streams, each to its own", async () => {
    const id = await finished("echo out; echo err >&2");
    expect(await cli("logs", id)).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
  });

  test("--tail", async () => {
    const id = await finished("for i in $(seq 100); do echo line $i; done");
    expect(await cli.ok("logs", "--tail", "2", id)).toBe("line 99\nline 100");
    expect(await cli.ok("logs", "--tail", "0", id)).toBe("");
    expect((await cli.ok("logs", "--tail", "all", id)).split("\n")).toHaveLength(100);
    expect((await cli.ok("logs", "-n", "1000", id)).split("\n")).toHaveLength(100);
  });

  test("-t puts RFC 3339 times with nanoseconds in front, in order", async () => {
    const id = await finished("echo a; sleep 0.1; echo b");
    const lines = (await cli.ok("logs", "-t", id)).split("\n");
    expect(lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /, ""))).toEqual([
      "a",
      "b",
    ]);
    const [first = 0, second = 0] = lines.map((line) => Date.parse(`${line.slice(0, 23)}Z`));
    expect(second - first).toBeWithin(80, 2_000);
  });

  test("--since and --until, absolute and relative", async () => {
    const id = await finished("echo one; sleep 1.2; echo two; sleep 1.2; echo three");
    const times = (await cli.ok("logs", "-t", id)).split("\n").map((line) => line.split(" ")[0] ?? "");
    const middle = times[1] ?? "";
    expect(await cli.ok("logs", "--since", middle, id)).toBe("two\nthree");
    expect(await cli.ok("logs", "--until", middle, id)).toBe("one\ntwo");
    expect(await cli.ok("logs", "--since", middle, "--until", middle, id)).toBe("two");
    const seconds = String(Math.floor(Date.parse(middle) / 1000));
    expect((await cli.ok("logs", "--since", seconds, id)).split("\n").at(-1)).toBe("three");
    expect(await cli.ok("logs", "--since", "1h", id)).toBe("one\ntwo\nthree");
    expect(await cli.ok("logs", "--until", "1h", id)).toBe("");
  });

  test("-f gives what is there, then what comes, and ends with the container", async () => {
    const id = await cli.ok("run", "-d", "busybox", "sh", "-c", "echo early; sleep 1; echo late; sleep 0.3");
    const { stdout, code } = await cli("logs", "-f", id);
    expect([stdout, code]).toEqual(["early\nlate\n", 0]);
  });

  test("-f --tail 1 begins at the end", async () => {
    const id = await cli.ok("run", "-d", "busybox", "sh", "-c", "echo a; echo b; sleep 1; echo c");
    await Bun.sleep(500);
    expect((await cli("logs", "-f", "--tail", "1", id)).stdout).toBe("b\nc\n");
  });

  test("-f of an ended container ends at once", async () => {
    const id = await finished("echo done");
    expect((await cli.with({ timeout: 5_000 }, "logs", "-f", id)).stdout).toBe("done\n");
  });

  test("lines arrive while they are written", async () => {
    const id = await cli.ok(
      "run",
      "-d",
      "busybox",
      "sh",
      "-c",
      "for i in $(seq 50); do echo $i; sleep 0.1; done",
    );
    using client = cli.spawn("logs", "-f", id);
    await client.shows("1\n");
    await client.shows("5\n", 3_000);
    client.signal("SIGTERM");
    await client.ended();
  });

  test("logs of several runs of one container follow each other", async () => {
    const id = await cli.ok("create", "busybox", "sh", "-c", "echo run");
    for (let count = 0; count < 3; count++) {
      await cli.ok("start", id);
      await cli.ok("wait", id);
    }
    expect(await cli.ok("logs", id)).toBe("run\nrun\nrun");
  });

  test("a line of 100,000 characters, a missing newline, empty lines", async () => {
    const id = await finished("head -c 100000 /dev/zero | tr '\\0' x; echo; echo; echo; printf end");
    const { stdout } = await cli("logs", id);
    expect(stdout.length).toBe(100_000 + 1 + 1 + 1 + 3);
    expect(stdout.endsWith("x\n\n\nend")).toBe(true);
  });

  test("20,000 lines are all there", async () => {
    const id = await finished("seq 20000");
    const { stdout } = await cli("logs", id);
    expect(stdout).toBe(`${Array.from({ length: 20_000 }, (_, at) => at + 1).join("\n")}\n`);
  });

  test("not ASCII", async () => {
    const id = await finished("echo 'grüße 日本語 😀'");
    expect(await cli.ok("logs", id)).toBe("grüße 日本語 😀");
  });

  test("a tty's log has both streams in one and carriage returns", async () => {
    const id = await cli.ok("run", "-dt", "busybox", "sh", "-c", "echo out; echo err >&2");
    await cli.ok("wait", id);
    expect((await cli("logs", id)).stdout).toBe("out\r\nerr\r\n");
  });

  test("a created container has none; an unknown one is an error", async () => {
    await cli.ok("create", "--name", "box", "busybox");
    expect((await cli("logs", "box")).stdout).toBe("");
    const { code, stderr } = await cli("logs", "nope");
    expect(stderr).toContain("No such container: nope");
    expect(code).toBe(1);
  });

  test("--log-driver none keeps none", async () => {
    const id = await cli.ok("run", "-d", "--log-driver", "none", "busybox", "echo", "x");
    await cli.ok("wait", id);
    const { code, stderr } = await cli("logs", id);
    expect(stderr).toContain("configured logging driver does not support reading");
    expect(code).toBe(1);
  });

  test("what came before the output of run -d is not lost when it is fast", async () => {
    for (let attempt = 0; attempt < 5; attempt++) {
      const id = await finished("echo fast");
      expect(await cli.ok("logs", id)).toBe("fast");
    }
  });
});

describe.skipIf(oracle)("a log's file", () => {
  const docker = suite.cli("docker");
  const pathOf = (name: string): Promise<string> => docker.ok("inspect", "-f", "{{.LogPath}}", name);

  test("is Docker's own, for those who collect logs", async () => {
    const id = await docker.ok(
      "run",
      "-d",
      "--name",
      "box",
      "--log-opt",
      "tag={{.Name}}",
      "busybox",
      "echo",
      "hi",
    );
    await docker.ok("wait", "box");
    expect(await docker.ok("logs", "--details", "box")).toBe("tag=box hi");
    const path = await pathOf("box");
    expect(path).toEndWith(`/containers/${id}/${id}-json.log`);
    const { time, ...rest } = JSON.parse(readFileSync(path, "utf8"));
    expect(rest).toEqual({ log: "hi\n", stream: "stdout", attrs: { tag: "box" } });
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  });

  test("has every line though the daemon was killed and away", async () => {
    const script = "for i in $(seq 1 60); do echo $i; sleep 0.03; done";
    await docker.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", script);
    for (let kill = 0; kill < 2; kill++) {
      await Bun.sleep(300);
      await suite.engine.kill();
      await Bun.sleep(300);
      await suite.engine.start();
    }
    await docker.ok("wait", "box");
    const all = Array.from({ length: 60 }, (_, index) => String(index + 1));
    expect((await docker.ok("logs", "box")).split("\n")).toEqual(all);
    const file = readFileSync(await pathOf("box"), "utf8")
      .trim()
      .split("\n");
    expect(file.map((line) => JSON.parse(line).log.trim())).toEqual(all);
  });

  test("keeps its bound for the fastest writer", async () => {
    const bound = ["--log-opt", "max-size=10k", "--log-opt", "max-file=2"];
    await docker.ok("run", "--name", "box", ...bound, "busybox", "seq", "1", "20000");
    const kept = (await docker.ok("logs", "box")).split("\n");
    expect(kept.at(-1)).toBe("20000");
    expect(kept.length).toBeLessThan(300);
  });

  test("can be searched and cleared", async () => {
    await docker.ok("run", "--name", "box", "busybox", "sh", "-c", "echo one; echo two; echo three >&2");
    const path = "/containers/box/logs?stdout=1&stderr=1&tail=3";
    const found = await suite.engine.request("GET", `${path}&grep=${encodeURIComponent("^t(wo|hree)$")}`);
    expect(found.text.match(/\w+(?=\n)/g)).toEqual(["two", "three"]);
    expect(await suite.cli("gantry").ok("logs", "--grep", "o", "box")).toBe("one\ntwo");
    expect((await suite.engine.request("GET", `${path}&grep=(`)).status).toBe(400);
    expect((await suite.engine.request("DELETE", "/containers/box/logs")).status).toBe(204);
    expect(await docker.ok("logs", "box")).toBe("");
    expect((await suite.engine.call("GET", "/info")).Extensions).toContain("logs.grep");
  });
});
