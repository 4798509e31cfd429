/** Interactive use on a terminal: size, signals by key, detach keys, attaching again. */
import { expect, test } from "bun:test";
import { eventually } from "../support/cli.ts";
import { useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine();

withEachClient(suite, "terminal", (cli) => {
  test("run -it has a terminal of the client's size", async () => {
    using client = cli.terminal("run", "--rm", "-it", "busybox", "sh");
    await client.shows("# ");
    client.type("tty; stty size; echo $TERM\r");
    await client.shows(/\/dev\/(pts\/\d+|console)/);
    await client.shows("24 80");
    await client.shows("xterm");
    client.type("exit 12\r");
    expect(await client.ended()).toBe(12);
  });

  test("a change of the window's size arrives", async () => {
    using client = cli.terminal("run", "--rm", "-it", "busybox", "sh");
    await client.shows("# ");
    client.resize(120, 50);
    await eventually(async () => {
      client.type("stty size\r");
      await Bun.sleep(100);
      return client.screen.includes("50 120");
    });
    client.type("exit\r");
    expect(await client.ended()).toBe(0);
  });

  test("Ctrl-C goes to the program", async () => {
    using client = cli.terminal(
      "run",
      "--rm",
      "-it",
      "busybox",
      "sh",
      "-c",
      "trap 'echo caught; exit 33' INT; echo ready; while :; do sleep 0.05; done",
    );
    await client.shows("ready");
    client.type("\x03");
    expect(await client.ended()).toBe(33);
    expect(client.screen).toContain("caught");
  });

  test("Ctrl-D ends the shell", async () => {
    using client = cli.terminal("run", "--rm", "-it", "busybox", "sh");
    await client.shows("# ");
    client.type("\x04");
    expect(await client.ended()).toBe(0);
  });

  test("Ctrl-P Ctrl-Q detaches and leaves it running; attach comes back to it", async () => {
    {
      using client = cli.terminal("run", "-it", "--name", "box", "busybox", "sh");
      await client.shows("# ");
      client.type("X=kept\r");
      await client.shows("X=kept\r\n");
      client.type("\x10\x11");
      expect(await client.ended()).toBe(0);
    }
    expect(await cli.ok("inspect", "-f", "{{.State.Running}}", "box")).toBe("true");
    using again = cli.terminal("attach", "box");
    await Bun.sleep(300);
    again.type("echo is:$X\r");
    await again.shows("is:kept");
    again.type("exit 4\r");
    expect(await again.ended()).toBe(4);
  });

  test("--detach-keys", async () => {
    using client = cli.terminal("run", "-it", "--name", "box", "--detach-keys", "ctrl-x,q", "busybox", "sh");
    await client.shows("# ");
    client.type("\x10\x11");
    client.type("\r");
    await Bun.sleep(200);
    client.type("\x18q");
    await client.ended();
    expect(await cli.ok("inspect", "-f", "{{.State.Running}}", "box")).toBe("true");
  });

  test("exec -it is detached from as well", async () => {
    await cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    using client = cli.terminal("exec", "-it", "box", "sh");
    await client.shows("# ");
    client.type("\x10\x11");
    await client.ended();
    expect(await cli.ok("exec", "box", "sh", "-c", "ps | grep -c '[ ]sh$'")).toBe("1");
  });

  test("-t without a terminal on the client's side", async () => {
    const { stdout, code } = await cli("run", "--rm", "-t", "busybox", "sh", "-c", "tty; echo x");
    expect(stdout).toMatch(/^\/dev\/\S+\r\nx\r\n$/);
    expect(code).toBe(0);
  });

  test("-it with piped stdin is refused by the client", async () => {
    const { code, stderr } = await cli.with({ stdin: "x" }, "run", "--rm", "-it", "busybox", "true");
    expect(stderr).toContain("the input device is not a TTY");
    expect(code).not.toBe(0);
  });

  test("attach without a terminal: output, signals, exit code", async () => {
    await cli.ok(
      "run",
      "-d",
      "--name",
      "box",
      "busybox",
      "sh",
      "-c",
      "trap 'echo bye; exit 8' TERM; while :; do echo tick; sleep 0.1; done",
    );
    using client = cli.spawn("attach", "box");
    await client.shows("tick");
    client.signal("SIGTERM");
    expect(await client.ended()).toBe(8);
    expect(client.stdout).toContain("bye");
  });

  test("attach --no-stdin and two at the same time see the same", async () => {
    await cli.ok(
      "run",
      "-d",
      "--name",
      "box",
      "busybox",
      "sh",
      "-c",
      "sleep 1; for i in 1 2 3; do echo line $i; sleep 0.1; done",
    );
    using first = cli.spawn("attach", "--no-stdin", "box");
    using second = cli.spawn("attach", "--no-stdin", "box");
    await Promise.all([first.ended(), second.ended()]);
    expect(first.stdout).toBe("line 1\nline 2\nline 3\n");
    expect(second.stdout).toBe(first.stdout);
  });

  test("attach to one that does not run is refused", async () => {
    await cli.ok("create", "--name", "box", "busybox");
    const { code, stderr } = await cli("attach", "box");
    expect(stderr).toContain("You cannot attach to a stopped container, start it first");
    expect(code).toBe(1);
  });
});
