/** `exec`: streams, exit codes, environment, user, directory, terminal, detached; and its inspection. */
import { beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/cli.ts";
import { oracle } from "../support/engine.ts";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox", "configured"] });

withEachClient(suite, "exec", (cli) => {
  beforeEach(async () => {
    await cli.ok("run", "-d", "--name", "box", "-e", "FROM_RUN=yes", "busybox", "sleep", "600");
  });

  test("output and exit code", async () => {
    expect(await cli("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 5")).toEqual({
      code: 5,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect((await cli("exec", "box", "true")).code).toBe(0);
    expect((await cli("exec", "box", "sh", "-c", "kill -9 $$")).code).toBe(137);
  });

  test("127 for a program that is not there, 126 for one that may not be run", async () => {
    const missing = await cli("exec", "box", "no-such-program");
    expect(missing.stderr + missing.stdout).toContain("executable file not found in $PATH");
    expect(missing.code).toBe(oracle ? 126 : 127);
    const refused = await cli("exec", "box", "/etc/passwd");
    expect((refused.stderr + refused.stdout).toLowerCase()).toContain("permission denied");
    expect(refused.code).toBe(126);
  });

  test("stdin with -i, to its end", async () => {
    const { stdout } = await cli.with({ stdin: "a\nb\nc\n" }, "exec", "-i", "box", "wc", "-l");
    expect(stdout.trim()).toBe("3");
  });

  test("4 MB there and back", async () => {
    const data = Buffer.alloc(4_000_000, "0123456789abcde\n").toString();
    const { stdout } = await cli.with({ stdin: data }, "exec", "-i", "box", "cat");
    expect(stdout === data).toBe(true);
  });

  test("environment: the container's, plus -e and --env-file", async () => {
    const file = join(suite.engine.directory, "exec-env");
    writeFileSync(file, "FROM_FILE=yes\n");
    const { stdout } = await cli("exec", "-e", "FROM_EXEC=1", "--env-file", file, "box", "env");
    for (const line of ["FROM_RUN=yes", "FROM_EXEC=1", "FROM_FILE=yes", "HOME=/root"])
      expect(stdout).toContain(`${line}\n`);
  });

  test("-u, -w", async () => {
    expect(await cli.ok("exec", "-u", "gina", "box", "sh", "-c", "id -un; echo $HOME")).toBe(
      "gina\n/home/gina",
    );
    expect(await cli.ok("exec", "-u", "12:34", "box", "sh", "-c", "id -u; id -g")).toBe("12\n34");
    expect(await cli.ok("exec", "-w", "/usr/bin", "box", "pwd")).toBe("/usr/bin");
    const unknown = await cli("exec", "-u", "nobody-here", "box", "true");
    expect(unknown.stderr + unknown.stdout).toContain("unable to find user nobody-here");
    expect(unknown.code).not.toBe(0);
  });

  test("-u is looked up in the container's root, not through what was mounted over it inside", async () => {
    await cli.ok(
      ...["run", "-d", "--name", "mounted", "--cap-add", "SYS_ADMIN", "busybox"],
      ...["sh", "-c", "mount -t tmpfs none /etc && echo ready; sleep 600"],
    );
    await eventually(async () => (await cli.ok("logs", "mounted")).includes("ready"));
    const uid = await cli.ok("exec", "-u", "gina", "mounted", "id", "-u");
    expect(uid).toBe(await cli.ok("exec", "box", "id", "-u", "gina"));
  });

  test("runs in the container's namespaces, under its limits", async () => {
    expect(await cli.ok("exec", "box", "cat", "/proc/1/comm")).toBe("sleep");
    expect(await cli.ok("exec", "box", "hostname")).toBe(
      await cli.ok("inspect", "-f", "{{.Config.Hostname}}", "box"),
    );
    expect(await cli.ok("exec", "box", "sh", "-c", "grep CapBnd /proc/self/status")).toMatch(
      /00000000a80425fb$/,
    );
    expect(await cli.ok("exec", "box", "sh", "-c", "grep Seccomp: /proc/self/status")).toMatch(/2$/);
  });

  notInOracle("runc asks for a capability that this host withholds")(
    "--privileged gives more, to that process alone",
    async () => {
      const own = await cli.ok("exec", "--privileged", "box", "sh", "-c", "grep CapEff /proc/self/status");
      expect(BigInt(`0x${own.split(/\s+/)[1]}`)).toBeGreaterThan(0xa80425fbn);
      expect(await cli.ok("exec", "box", "grep", "CapBnd", "/proc/self/status")).toMatch(/00000000a80425fb$/);
    },
  );

  test("-t gives a terminal; without it there is none", async () => {
    expect((await cli("exec", "box", "tty")).stdout).toBe("not a tty\n");
    // Where the size is sent after the start, as old clients and engines do, it arrives a moment later.
    using client = cli.terminal("exec", "-it", "box", "sh", "-c", "tty; sleep 0.5; stty size; exit 3");
    expect(await client.ended()).toBe(3);
    expect(client.screen).toMatch(/\/dev\/pts\/\d+\r\n24 80\r\n/);
  });

  test("the terminal follows the client's size", async () => {
    using client = cli.terminal("exec", "-it", "box", "sh");
    await client.shows("# ");
    client.resize(101, 31);
    await eventually(async () => {
      client.type("stty size\r");
      await Bun.sleep(100);
      return client.screen.includes("31 101");
    });
    client.type("exit\r");
    expect(await client.ended()).toBe(0);
  });

  test("-d returns at once and the program goes on", async () => {
    const began = Date.now();
    expect(await cli.ok("exec", "-d", "box", "sh", "-c", "sleep 1; echo x > /made")).toBe("");
    expect(Date.now() - began).toBeLessThan(900);
    await eventually(async () => (await cli("exec", "box", "cat", "/made")).stdout === "x\n");
  });

  test("eight at once", async () => {
    const outputs = await Promise.all(
      Array.from({ length: 8 }, (_, at) => cli.ok("exec", "box", "sh", "-c", `sleep 0.1; echo ${at}`)),
    );
    expect(outputs).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
  });

  test("ends when the container ends", async () => {
    using client = cli.spawn("exec", "box", "sh", "-c", "echo ready; sleep 60");
    await client.shows("ready");
    await cli.ok("kill", "box");
    expect(await client.ended()).toBe(137);
  });

  test("of one that does not run, or is not there", async () => {
    await cli.ok("kill", "box");
    const { code, stderr } = await cli("exec", "box", "true");
    expect(stderr).toMatch(/[Cc]ontainer \S+ is not running/);
    expect(code).toBe(1);
    expect((await cli("exec", "nope", "true")).stderr).toContain("No such container: nope");
  });

  test("a background child of the exec does not hold it", async () => {
    const began = Date.now();
    await cli.with({ timeout: 10_000 }, "exec", "box", "sh", "-c", "sleep 8 >/dev/null 2>&1 & echo done");
    expect(Date.now() - began).toBeLessThan(5_000);
  });
});

describe("exec through the API", () => {
  test("is inspected before, while and after it runs", async () => {
    const { engine } = suite;
    const { Id } = await engine.call("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sleep", "60"],
    });
    await engine.call("POST", `/containers/${Id}/start`);
    const exec = await engine.call("POST", `/containers/${Id}/exec`, {
      Cmd: ["sh", "-c", "sleep 0.5; exit 4"],
      AttachStdout: true,
    });
    expect(await engine.call("GET", `/exec/${exec.Id}/json`)).toMatchObject({
      ID: exec.Id,
      Running: false,
      ContainerID: Id,
    });
    await engine.call("POST", `/exec/${exec.Id}/start`, { Detach: true });
    expect(await engine.call("GET", `/exec/${exec.Id}/json`)).toMatchObject({
      Running: true,
      ProcessConfig: { entrypoint: "sh", arguments: ["-c", "sleep 0.5; exit 4"] },
    });
    expect((await engine.call("GET", `/containers/${Id}/json`)).ExecIDs).toEqual([exec.Id]);
    await eventually(async () => (await engine.call("GET", `/exec/${exec.Id}/json`)).Running === false);
    expect((await engine.call("GET", `/exec/${exec.Id}/json`)).ExitCode).toBe(4);
    expect((await engine.call("GET", `/containers/${Id}/json`)).ExecIDs).toBeNull();
  });

  test("one that was made before the container stopped is not there any more", async () => {
    await suite.cli("docker").ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    const { Id } = await suite.engine.call("POST", "/containers/box/exec", { Cmd: ["true"] });
    await suite.engine.call("POST", "/containers/box/stop?t=0");
    const stopped = await suite.engine.request("POST", `/exec/${Id}/start`, { body: { Detach: true } });
    expect(stopped.status).toBe(404);
    await suite.engine.call("POST", "/containers/box/start");
    const again = await suite.engine.request("POST", `/exec/${Id}/start`, { body: { Detach: true } });
    expect(again.status).toBe(404);
  });

  test("a resize right after the start waits for the process", async () => {
    await suite.cli("docker").ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    const { Id } = await suite.engine.call("POST", "/containers/box/exec", {
      Cmd: ["sleep", "5"],
      Tty: true,
    });
    const started = suite.engine.call("POST", `/exec/${Id}/start`, { Detach: true, Tty: true });
    const resized = await suite.engine.request("POST", `/exec/${Id}/resize?h=40&w=100`);
    expect([resized.status, resized.text]).toEqual([200, ""]);
    await started;
  });

  test("without a command is refused, an unknown one is 404, a started one is 409", async () => {
    const { engine } = suite;
    const { Id } = await engine.call("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sleep", "60"],
    });
    await engine.call("POST", `/containers/${Id}/start`);
    expect((await engine.request("POST", `/containers/${Id}/exec`, { body: { Cmd: [] } })).status).toBe(400);
    expect((await engine.request("GET", "/exec/0123456789ab/json")).status).toBe(404);
    const exec = await engine.call("POST", `/containers/${Id}/exec`, { Cmd: ["sleep", "5"] });
    await engine.call("POST", `/exec/${exec.Id}/start`, { Detach: true });
    expect((await engine.request("POST", `/exec/${exec.Id}/start`, { body: { Detach: true } })).status).toBe(
      409,
    );
  });
});
