/** A container's life: create, start, stop, kill, restart, wait, rename, remove, list, and restart policies. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/cli.ts";
import { oracle } from "../support/engine.ts";
import { freePort } from "../support/registry.ts";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox", "configured"] });

const trapping = (signal: string, code: number) =>
  `trap 'exit ${code}' ${signal}; echo ready; while :; do sleep 0.05; done`;

// biome-ignore lint/suspicious/noExplicitAny: inspect's document
const inspected = (id: string): Promise<any> => suite.engine.call("GET", `/containers/${id}/json`);

withEachClient(suite, "life", (cli) => {
  const ready = (id: string) => eventually(async () => (await cli.ok("logs", id)).includes("ready"));

  test("an empty HOME is the user's own", async () => {
    expect(await cli.ok("run", "--rm", "-e", "HOME=", "busybox", "sh", "-c", "echo $HOME")).toBe("/root");
  });

  describe("create and start", () => {
    test("a created container has not run", async () => {
      const id = await cli.ok("create", "--name", "box", "busybox", "echo", "hello");
      expect(await cli.ok("ps", "-a", "--format", "{{.ID}} {{.Status}}")).toBe(`${id.slice(0, 12)} Created`);
      const { State } = await inspected(id);
      expect(State).toMatchObject({ Status: "created", Running: false, Pid: 0, ExitCode: 0 });
    });

    test("start prints what it was given; start -a gives output and exit code", async () => {
      await cli.ok("create", "--name", "box", "busybox", "sh", "-c", "echo hello; exit 3");
      expect(await cli.ok("start", "box")).toBe("box");
      expect(await cli.ok("wait", "box")).toBe("3");
      const again = await cli("start", "-a", "box");
      expect([again.stdout, again.code]).toEqual(["hello\n", 3]);
    });

    test("start -ai feeds stdin", async () => {
      await cli.ok("create", "-i", "--name", "box", "busybox", "cat");
      const { stdout, code } = await cli.with({ stdin: "through\n" }, "start", "-ai", "box");
      expect([stdout, code]).toEqual(["through\n", 0]);
    });

    test("a started one starts without complaint; state survives in its layer", async () => {
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "date >> /runs; wc -l < /runs; echo ready; sleep 60",
      );
      await cli.ok("start", "box");
      await ready("box");
      await cli.ok("restart", "-t", "0", "box");
      await eventually(async () => (await cli.ok("logs", "box")).match(/ready/g)?.length === 2);
      expect((await cli.ok("logs", "box")).split("\n")).toEqual(["1", "ready", "2", "ready"]);
    });

    test("an unknown name or image is an error", async () => {
      const start = await cli("start", "not-there");
      expect(start.stderr).toContain("No such container: not-there");
      expect(start.code).toBe(1);
      const { status, text } = await suite.engine.request("POST", "/containers/create", {
        body: { Image: "not-there" },
      });
      expect([status, JSON.parse(text).message]).toEqual([404, "No such image: not-there:latest"]);
    });

    test("ids may be shortened as long as they are unique", async () => {
      const id = await cli.ok("create", "busybox");
      expect(await cli.ok("inspect", "-f", "{{.Id}}", id.slice(0, 8))).toBe(id);
      const other = await suite.engine.call("POST", "/containers/create", { Image: "busybox" });
      const common = [...id].findIndex((digit, at) => other.Id[at] !== digit);
      if (common > 0) expect((await cli("inspect", "-f", "{{.Id}}", id.slice(0, common))).code).toBe(1);
    });
  });

  describe("stop, kill, restart", () => {
    test("stop sends SIGTERM and waits", async () => {
      await cli.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", trapping("TERM", 11));
      await ready("box");
      expect(await cli.ok("stop", "box")).toBe("box");
      expect((await inspected("box")).State).toMatchObject({
        Status: "exited",
        ExitCode: 11,
        Running: false,
      });
    });

    test("stop -t 1 kills what does not listen", async () => {
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; echo ready; while :; do sleep 0.05; done",
      );
      await ready("box");
      const began = Date.now();
      await cli.ok("stop", "-t", "1", "box");
      expect(Date.now() - began).toBeWithin(900, 6_000);
      expect((await inspected("box")).State).toMatchObject({ ExitCode: 137, OOMKilled: false });
    });

    test("stop uses the stop signal of the image or of --stop-signal", async () => {
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box",
        "-u",
        "root",
        "--entrypoint",
        "sh",
        "configured",
        "-c",
        trapping("USR1", 21),
      );
      await ready("box");
      await cli.ok("stop", "box");
      expect((await inspected("box")).State.ExitCode).toBe(21);
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box2",
        "--stop-signal",
        "SIGUSR2",
        "busybox",
        "sh",
        "-c",
        trapping("USR2", 22),
      );
      await ready("box2");
      await cli.ok("stop", "box2");
      expect((await inspected("box2")).State.ExitCode).toBe(22);
    });

    test("stop of a stopped one is fine, kill is not", async () => {
      await cli.ok("run", "--name", "box", "busybox", "true");
      expect((await cli("stop", "box")).code).toBe(0);
      const { code, stderr } = await cli("kill", "box");
      expect(stderr).toMatch(/[Cc]ontainer \S+ is not running/);
      expect(code).toBe(1);
    });

    test("kill -s by name and by number", async () => {
      for (const signal of ["HUP", "SIGHUP", "1"]) {
        await cli.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", trapping("HUP", 31));
        await ready("box");
        await cli.ok("kill", "-s", signal, "box");
        expect(await cli.ok("wait", "box")).toBe("31");
        await cli.ok("rm", "box");
      }
      await cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "60");
      const { stderr, code } = await cli("kill", "-s", "NOSUCH", "box");
      expect(stderr).toMatch(/[Ii]nvalid signal: NOSUCH/);
      expect(code).toBe(1);
    });

    test("restart of a stopped and of a running one", async () => {
      await cli.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", trapping("TERM", 0));
      await ready("box");
      const before = (await inspected("box")).State;
      await cli.ok("restart", "box");
      const after = (await inspected("box")).State;
      expect(after.Running).toBe(true);
      expect(after.Pid).not.toBe(before.Pid);
      await cli.ok("stop", "box");
      await cli.ok("restart", "box");
      expect((await inspected("box")).State.Running).toBe(true);
    });

    test("several at once: the good ones are done, the bad one is named", async () => {
      await cli.ok("run", "-d", "--name", "aa", "busybox", "sleep", "60");
      await cli.ok("run", "-d", "--name", "bb", "busybox", "sleep", "60");
      const { code, stdout, stderr } = await cli("stop", "-t", "0", "aa", "nope", "bb");
      expect(stdout.split("\n").filter(Boolean).sort()).toEqual(["aa", "bb"]);
      expect(stderr).toContain("No such container: nope");
      expect(code).toBe(1);
    });
  });

  describe("wait", () => {
    test("gives the exit code, of a running and of an ended one", async () => {
      const id = await cli.ok("run", "-d", "busybox", "sh", "-c", "sleep 0.3; exit 9");
      expect(await cli.ok("wait", id)).toBe("9");
      expect(await cli.ok("wait", id)).toBe("9");
    });

    test("many waiters all hear", async () => {
      const id = await cli.ok("run", "-d", "busybox", "sh", "-c", "sleep 1; exit 5");
      expect(await Promise.all([1, 2, 3, 4].map(() => cli.ok("wait", id)))).toEqual(["5", "5", "5", "5"]);
    });
  });

  describe("rename and remove", () => {
    test("rename", async () => {
      const id = await cli.ok("create", "--name", "before", "busybox");
      await cli.ok("rename", "before", "after");
      expect(await cli.ok("inspect", "-f", "{{.Id}}", "after")).toBe(id);
      expect((await cli("inspect", "before")).code).toBe(1);
      await cli.ok("create", "--name", "before", "busybox");
      const { code, stderr } = await cli("rename", "before", "after");
      expect(stderr).toContain(`The container name "/after" is already in use by container "${id}"`);
      expect(code).toBe(1);
    });

    test("rm of a running one needs -f", async () => {
      const id = await cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "60");
      const { code, stderr } = await cli("rm", "box");
      expect(stderr).toMatch(/container is running|You cannot remove a running container/);
      expect(stderr).toMatch(/force/);
      expect(code).toBe(1);
      expect(await cli.ok("rm", "-f", "box")).toBe("box");
      expect((await cli("inspect", id)).code).toBe(1);
    });

    test("rm of what is not there; rm -f of it is no error", async () => {
      const { code, stderr } = await cli("rm", "nope");
      expect(stderr).toContain("No such container: nope");
      expect(code).toBe(1);
      expect((await cli("rm", "-f", "nope")).code).toBe(0);
    });

    test("rm leaves a named volume and takes an anonymous one only with -v", async () => {
      await cli.ok("create", "--name", "box", "-v", "named:/n", "-v", "/anonymous", "busybox");
      await cli.ok("rm", "box");
      expect((await cli.ok("volume", "ls", "-q")).split("\n").length).toBe(2);
      await cli.ok("create", "--name", "box2", "-v", "named:/n", "-v", "/anonymous", "busybox");
      await cli.ok("rm", "-v", "box2");
      expect((await cli.ok("volume", "ls", "-q")).split("\n").length).toBe(2);
    });
  });

  describe("ps", () => {
    test("columns as Docker's", async () => {
      const id = await cli.ok("run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox", "sleep", "60");
      const [head = "", line = ""] = (await cli.ok("ps")).split("\n");
      expect(head).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
      expect(line).toMatch(
        new RegExp(
          `^${id.slice(0, 12)} +busybox +"sleep 60" +(Less than a|\\d+) seconds? ago +Up (Less than a|\\d+) seconds? +127\\.0\\.0\\.1:\\d+->80/tcp +web$`,
        ),
      );
    });

    test("filters", async () => {
      await cli.ok("run", "--name", "ended", "-l", "kind=a", "busybox", "sh", "-c", "exit 3").catch(() => {});
      await cli.ok("run", "-d", "--name", "runs", "-l", "kind=b", "-v", "vol:/v", "busybox", "sleep", "60");
      await cli.ok("create", "--name", "made", "-l", "kind", "configured");
      const names = async (...filters: string[]) =>
        (await cli.ok("ps", "-a", "--format", "{{.Names}}", ...filters.flatMap((filter) => ["-f", filter])))
          .split("\n")
          .sort()
          .join(" ");
      expect(await names("status=exited")).toBe("ended");
      expect(await names("status=running")).toBe("runs");
      expect(await names("status=created", "status=running")).toBe("made runs");
      expect(await names("exited=3")).toBe("ended");
      expect(await names("label=kind=b")).toBe("runs");
      expect(await names("label=kind")).toBe("ended made runs");
      expect(await names("name=^/r")).toBe("runs");
      expect(await names("name=e")).toBe("ended made");
      expect(await names("ancestor=configured")).toBe("made");
      expect(await names("volume=vol")).toBe("runs");
      expect(await names("network=bridge", "status=running")).toBe("runs");
      expect(await names("before=made")).toBe("ended runs");
      expect(await names("since=ended")).toBe("made runs");
      expect((await cli("ps", "-f", "no-such=x")).stderr).toMatch(/invalid filter/i);
    });

    test("-n, -l, -q, --no-trunc, -s", async () => {
      const first = await cli.ok("create", "--name", "first", "busybox");
      const second = await cli.ok("create", "--name", "second", "busybox");
      expect(await cli.ok("ps", "-n", "1", "-q", "--no-trunc")).toBe(second);
      expect(await cli.ok("ps", "-l", "-q")).toBe(second.slice(0, 12));
      expect(await cli.ok("ps", "-aq", "--no-trunc")).toBe(`${second}\n${first}`);
      await cli.ok("run", "--name", "wrote", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /data");
      expect(await cli.ok("ps", "-as", "-f", "name=wrote", "--format", "{{.Size}}")).toMatch(
        /^1\d\d ?kB \(virtual .+\)$/,
      );
    });

    test("status of the ended", async () => {
      await cli("run", "--name", "box", "busybox", "sh", "-c", "exit 3");
      expect(await cli.ok("ps", "-a", "--format", "{{.Status}}")).toMatch(
        /^Exited \(3\) (Less than a|\d+) seconds? ago$/,
      );
    });
  });

  describe("restart policies", () => {
    test("on-failure:2 tries twice more, then rests", async () => {
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box",
        "--restart",
        "on-failure:2",
        "busybox",
        "sh",
        "-c",
        "echo run; exit 4",
      );
      await eventually(
        async () =>
          (await inspected("box")).RestartCount === 2 && (await inspected("box")).State.Status === "exited",
      );
      expect(await cli.ok("logs", "box")).toBe("run\nrun\nrun");
      expect((await inspected("box")).State.ExitCode).toBe(4);
    });

    test("on-failure leaves success alone", async () => {
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box",
        "--restart",
        "on-failure",
        "busybox",
        "sh",
        "-c",
        "echo run",
      );
      await eventually(async () => (await inspected("box")).State.Status === "exited");
      await Bun.sleep(400);
      expect(await cli.ok("logs", "box")).toBe("run");
    });

    test("always comes back, and stop ends it", async () => {
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box",
        "--restart",
        "always",
        "busybox",
        "sh",
        "-c",
        "echo run; sleep 0.1",
      );
      await eventually(async () => (await inspected("box")).RestartCount >= 2);
      await cli.ok("stop", "-t", "0", "box");
      const { RestartCount } = await inspected("box");
      await Bun.sleep(800);
      expect((await inspected("box")).State.Status).toBe("exited");
      expect((await inspected("box")).RestartCount).toBe(RestartCount);
    });

    test("is restarting while it waits", async () => {
      await cli.ok("run", "-d", "--name", "box", "--restart", "always", "busybox", "false");
      await eventually(async () => (await inspected("box")).RestartCount >= 3);
      await eventually(async () => (await inspected("box")).State.Restarting === true);
      expect(await cli.ok("ps", "--format", "{{.Status}}")).toMatch(/^Restarting \(1\) /);
      expect((await cli("rm", "-f", "box")).code).toBe(0);
    });

    test("--rm and --restart exclude each other", async () => {
      const { code, stderr } = await cli("run", "--rm", "--restart", "always", "busybox", "true");
      expect(stderr).toMatch(/[Cc]onflicting options: .*(cannot specify both )?--restart and --rm/);
      expect(code).toBe(125);
    });

    test("an unknown policy is refused", async () => {
      const { code, stderr } = await cli("run", "--restart", "sometimes", "busybox", "true");
      expect(stderr).toMatch(/invalid restart policy/i);
      expect(code).toBe(125);
    });
  });

  describe("inspect", () => {
    test("several, of which one is missing", async () => {
      await cli.ok("create", "--name", "here", "busybox");
      const { code, stdout, stderr } = await cli("inspect", "here", "nope");
      expect(JSON.parse(stdout)).toHaveLength(1);
      expect(stderr.toLowerCase()).toContain("no such object: nope");
      expect(code).toBe(1);
    });

    test("fields that tools read", async () => {
      await cli.ok(
        "run",
        "-d",
        "--name",
        "box",
        "-e",
        "A=1",
        "-m",
        "64m",
        "--label",
        "x=y",
        "busybox",
        "sleep",
        "60",
      );
      const [found] = JSON.parse(await cli.ok("inspect", "box"));
      expect(found).toMatchObject({
        Name: "/box",
        Path: "sleep",
        Args: ["60"],
        RestartCount: 0,
        Driver: expect.any(String),
        State: {
          Status: "running",
          Running: true,
          Paused: false,
          Restarting: false,
          OOMKilled: false,
          Dead: false,
          ExitCode: 0,
          Error: "",
        },
        Config: { Image: "busybox", Tty: false, OpenStdin: false, Labels: { x: "y" }, Cmd: ["sleep", "60"] },
        HostConfig: {
          Memory: 64 * 1024 * 1024,
          NetworkMode: expect.stringMatching(/default|bridge/),
          RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
          LogConfig: { Type: "json-file" },
        },
      });
      expect(found.State.Pid).toBeGreaterThan(0);
      expect(found.Image).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(Date.parse(found.Created)).toBeWithin(Date.now() - 60_000, Date.now() + 1000);
      expect(found.State.FinishedAt).toBe("0001-01-01T00:00:00Z");
      expect(found.NetworkSettings.Networks.bridge.IPAddress).toMatch(/^10\./);
      expect(found.Config.Env).toContain("A=1");
    });
  });
});

describe.skipIf(oracle)("a monitor that is killed", () => {
  test("leaves a container that ended, soon, and whose port is free", async () => {
    const port = await freePort();
    const { Id } = await suite.engine.call("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sleep", "600"],
      ExposedPorts: { "80/tcp": {} },
      HostConfig: { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: String(port) }] } },
    });
    await suite.engine.call("POST", `/containers/${Id}/start`);
    const inspect = async () => (await suite.engine.call("GET", `/containers/${Id}/json`)).State;
    const { Pid } = await inspect();
    const directory = join(suite.engine.execRoot, "tasks", Id);
    process.kill(Number(readFileSync(join(directory, "conmon.pid"), "utf8")), "SIGKILL");
    await eventually(async () => (await inspect()).Status === "exited", { timeout: 5_000 });
    expect(await inspect()).toMatchObject({ ExitCode: 137, Pid: 0, Running: false });
    expect(existsSync(`/proc/${Pid}/root`)).toBe(false);
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    await suite.engine.call("POST", `/containers/${Id}/start`);
    expect(await inspect()).toMatchObject({ Running: true });
  });
});

describe("states through the API", () => {
  test("start twice is 304, stop twice is 304", async () => {
    const { Id } = await suite.engine.call("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sleep", "60"],
    });
    const statuses = [];
    for (const action of ["start", "start", "stop?t=0", "stop?t=0"]) {
      statuses.push((await suite.engine.request("POST", `/containers/${Id}/${action}`)).status);
    }
    expect(statuses).toEqual([204, 304, 204, 304]);
  });

  test("wait answers its headers at once and its body at the end; removed waits for the removal", async () => {
    const { Id } = await suite.engine.call("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sh", "-c", "exit 6"],
      HostConfig: { AutoRemove: true },
    });
    const next = suite.engine.call("POST", `/containers/${Id}/wait?condition=next-exit`);
    const removed = suite.engine.call("POST", `/containers/${Id}/wait?condition=removed`);
    await Bun.sleep(100);
    await suite.engine.call("POST", `/containers/${Id}/start`);
    expect((await next).StatusCode).toBe(6);
    expect((await removed).StatusCode).toBe(6);
    expect((await suite.engine.request("GET", `/containers/${Id}/json`)).status).toBe(404);
  });

  notInOracle("20.10 answers 500")("an unknown wait condition is refused", async () => {
    const { Id } = await suite.engine.call("POST", "/containers/create", { Image: "busybox" });
    expect((await suite.engine.request("POST", `/containers/${Id}/wait?condition=x`)).status).toBe(400);
  });

  test("removing twice at the same time has one winner", async () => {
    const { Id } = await suite.engine.call("POST", "/containers/create", { Image: "busybox" });
    const statuses = await Promise.all(
      [1, 2, 3].map(() => suite.engine.request("DELETE", `/containers/${Id}`)),
    );
    expect(statuses.filter(({ status }) => status === 204)).toHaveLength(1);
    for (const { status } of statuses) expect([204, 404, 409]).toContain(status);
  });

  test("one name asked for eight times at once is given once", async () => {
    const replies = await Promise.all(
      Array.from({ length: 8 }, () =>
        suite.engine.request("POST", "/containers/create?name=wanted", { body: { Image: "busybox" } }),
      ),
    );
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
  });
});

describe.skipIf(oracle)("the engine's own ways", () => {
  const docker = suite.cli("docker");

  test("a container that somebody else froze, and whose monitor was stopped, can be removed", async () => {
    await docker.ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    const { State } = await inspected("box");
    const [, path = ""] = /freezer:(.*)$/m.exec(readFileSync(`/proc/${State.Pid}/cgroup`, "utf8")) ?? [];
    const [file, frozen] =
      path === ""
        ? [join("/sys/fs/cgroup", groupOf(State.Pid), "cgroup.freeze"), "1"]
        : [join("/sys/fs/cgroup/freezer", path, "freezer.state"), "FROZEN"];
    writeFileSync(file, frozen);
    const monitor = Number(
      readFileSync(`${suite.engine.execRoot}/tasks/${(await inspected("box")).Id}/conmon.pid`, "utf8"),
    );
    process.kill(monitor, "SIGSTOP");
    await docker.ok("rm", "-f", "box");
    expect(existsSync(`/proc/${State.Pid}`)).toBe(false);
  });

  test("a quota of CPU time is taken away with -1", async () => {
    await docker.ok("run", "-d", "--name", "box", "--cpu-quota", "20000", "busybox", "sleep", "600");
    await suite.engine.call("POST", "/containers/box/update", { CpuQuota: -1 });
    const { State, HostConfig } = await inspected("box");
    expect(HostConfig.CpuQuota).toBe(-1);
    const [, path = ""] =
      /:(?:cpu|cpu,cpuacct|cpuacct,cpu):(.*)$/m.exec(readFileSync(`/proc/${State.Pid}/cgroup`, "utf8")) ?? [];
    const limit =
      path === ""
        ? readFileSync(join("/sys/fs/cgroup", groupOf(State.Pid), "cpu.max"), "utf8")
        : readFileSync(join("/sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us"), "utf8");
    expect(limit).toMatch(/^(-1|max)\b/);
    await docker.ok("restart", "-t", "0", "box");
  });

  test("the IPC and PID namespace of one that does not run cannot be joined", async () => {
    await docker.ok("create", "--name", "donor", "busybox", "true");
    await docker.ok("create", "--name", "box", "--pid", "container:donor", "busybox", "true");
    const reply = await suite.engine.request("POST", "/containers/box/start");
    expect(reply.status).toBe(500);
    expect(reply.json().message).toMatch(
      /^failed to join PID namespace: container [0-9a-f]{64} is not running$/,
    );
  });
});

function groupOf(pid: number): string {
  return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
}

withEachClient(suite, "usage", (cli) => {
  test("stats shows what runs in columns, once", async () => {
    await cli.ok("run", "-d", "--name", "box", "-m", "64m", "busybox", "sh", "-c", "while :; do :; done");
    await cli.ok("create", "--name", "idle", "busybox", "true");
    const all = (await cli.ok("stats", "--no-stream", "-a")).split("\n");
    expect(all[0]).toMatch(
      /^CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS *$/,
    );
    expect(all).toHaveLength(3);
    const row = await cli.ok(
      "stats",
      "--no-stream",
      "--format",
      "{{.Name}} {{.MemUsage}} {{.PIDs}} {{.CPUPerc}}",
      "box",
    );
    expect(row).toMatch(/^box [\d.]+[KM]iB \/ 64MiB 1 \d+\.\d\d%$/);
    expect(Number.parseFloat(row.split(" ").at(-1) ?? "")).toBeGreaterThan(1);
    expect((await cli("stats", "--no-stream", "nobody")).stderr).toContain("No such container: nobody");
  });

  test("update changes limits and the restart policy", async () => {
    await cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    expect(
      await cli.ok("update", "-m", "32m", "--memory-swap", "64m", "--restart", "on-failure:3", "box"),
    ).toBe("box");
    const { HostConfig } = await inspected("box");
    expect(HostConfig.Memory).toBe(32 << 20);
    expect(HostConfig.RestartPolicy).toEqual({ Name: "on-failure", MaximumRetryCount: 3 });
    expect((await cli("update", "box")).stderr).toContain("you must provide one or more flags");
  });
});

describe("statistics through the API", () => {
  const document = async (query: string) => await suite.engine.call("GET", `/containers/box/stats?${query}`);

  test("count processors, memory, processes, blocks and interfaces, with what was before", async () => {
    await suite.cli("docker").ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    const stats = await document("stream=0");
    expect(stats.name).toBe("/box");
    expect(stats.cpu_stats.cpu_usage.total_usage).toBeGreaterThanOrEqual(
      stats.precpu_stats.cpu_usage.total_usage,
    );
    expect(stats.cpu_stats.system_cpu_usage).toBeGreaterThan(stats.precpu_stats.system_cpu_usage);
    expect(stats.cpu_stats.online_cpus).toBeGreaterThan(0);
    expect(stats.memory_stats.usage).toBeGreaterThan(0);
    expect(stats.memory_stats.limit).toBeGreaterThan(1 << 30);
    expect(stats.pids_stats.current).toBe(1);
    expect(Object.keys(stats.networks)).toEqual(["eth0"]);
    expect(Date.parse(stats.read)).toBeGreaterThan(Date.parse(stats.preread));
    const once = await document("stream=0&one-shot=1");
    expect(once.precpu_stats.cpu_usage.total_usage).toBe(0);
    expect(once.preread).toBe("0001-01-01T00:00:00Z");
    await suite.engine.call("POST", "/containers/box/kill");
    const dead = await document("stream=0");
    expect([dead.name, dead.memory_stats, dead.read]).toEqual(["/box", {}, "0001-01-01T00:00:00Z"]);
  });
});
