/** `run` from the command line: exit codes, standard streams, environment, user, directories, names. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/cli.ts";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox", "configured"] });

withEachClient(suite, "run", (cli) => {
  describe("exit codes", () => {
    test.each([0, 1, 42, 255])("a container's exit code %d is the client's", async (code) => {
      expect((await cli("run", "--rm", "busybox", "sh", "-c", `exit ${code}`)).code).toBe(code);
    });

    test("death by a signal is 128 + its number", async () => {
      using client = cli.spawn("run", "--name", "dies", "busybox", "sh", "-c", "echo ready; exec sleep 60");
      await client.shows("ready");
      await cli.ok("kill", "dies");
      expect(await client.ended()).toBe(137);
    });

    test("127: the program does not exist", async () => {
      const { code, stderr } = await cli("run", "--rm", "busybox", "no-such-program");
      expect(stderr).toContain("no-such-program");
      expect(stderr).toContain("executable file not found in $PATH");
      expect(code).toBe(127);
    });

    test("127: a path that does not exist", async () => {
      const { code, stderr } = await cli("run", "--rm", "busybox", "/no/such/program");
      expect(stderr).toContain("no such file or directory");
      expect(code).toBe(127);
    });

    test("126: a file that is not executable, and a directory", async () => {
      for (const program of ["/not-executable", "/etc"]) {
        const { code, stderr } = await cli(
          "run",
          "--rm",
          "--entrypoint",
          program,
          "-u",
          "root",
          "configured",
        );
        expect(stderr).toMatch(/permission denied|is a directory/i);
        expect(code).toBe(126);
      }
    });

    test("125: what the engine refuses", async () => {
      const { code, stderr } = await cli("run", "--rm", "--network", "no-such-network", "busybox", "true");
      expect(stderr).toContain("network no-such-network not found");
      expect(code).toBe(125);
    });

    test("125: an unknown flag", async () => {
      const { code, stderr } = await cli("run", "--no-such-flag", "busybox", "true");
      expect(stderr).toContain("unknown flag: --no-such-flag");
      expect(code).toBe(125);
    });

    test("125: an image that no registry has", async () => {
      const name = `${suite.registry.host}/no-such-image`;
      const { code, stderr } = await cli("run", "--rm", name, "true");
      expect(stderr).toContain(`Unable to find image '${name}:latest' locally`);
      expect(code).toBe(125);
    });

    test("a program that could not start leaves no container with --rm, and a created one without", async () => {
      await cli("run", "--rm", "--name", "gone", "busybox", "no-such-program");
      await cli("run", "--name", "stays", "busybox", "no-such-program");
      const left = await cli.ok("ps", "-a", "--format", "{{.Names}} {{.Status}}");
      expect(left).toBe("stays Created");
      expect(await cli.ok("inspect", "-f", "{{.State.ExitCode}}", "stays")).toBe("127");
    });
  });

  describe("standard streams", () => {
    test("stdout and stderr stay apart", async () => {
      const output = await cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2");
      expect(output).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
    });

    test("stdin reaches the program with -i, and its end too", async () => {
      const { stdout } = await cli.with({ stdin: "one\ntwo\n" }, "run", "--rm", "-i", "busybox", "wc", "-l");
      expect(stdout.trim()).toBe("2");
    });

    test("without -i stdin is empty", async () => {
      const { stdout } = await cli.with({ stdin: "one\ntwo\n" }, "run", "--rm", "busybox", "wc", "-c");
      expect(stdout.trim()).toBe("0");
    });

    test("8 MB go through a container unchanged", async () => {
      const data = Buffer.alloc(8_000_000, "0123456789abcde\n").toString();
      const { stdout, code } = await cli.with({ stdin: data }, "run", "--rm", "-i", "busybox", "cat");
      expect(stdout.length).toBe(data.length);
      expect(stdout === data).toBe(true);
      expect(code).toBe(0);
    });

    test("output without a final newline, and none at all", async () => {
      expect((await cli("run", "--rm", "busybox", "printf", "no newline")).stdout).toBe("no newline");
      expect((await cli("run", "--rm", "busybox", "true")).stdout).toBe("");
    });

    test("a program that ends while its stdin is still open ends the client", async () => {
      using client = cli.spawn("run", "--rm", "-i", "busybox", "head", "-n", "1");
      await client.write("first\n");
      expect(await client.ended()).toBe(0);
      expect(client.stdout).toBe("first\n");
    });

    test("-a stdout alone gives stdout alone", async () => {
      const { stdout, stderr } = await cli(
        "run",
        "--rm",
        "-a",
        "stdout",
        "busybox",
        "sh",
        "-c",
        "echo out; echo err >&2",
      );
      expect([stdout, stderr]).toEqual(["out\n", ""]);
    });
  });

  describe("environment", () => {
    const printed = async (...args: string[]) =>
      (await cli.ok("run", "--rm", ...args, "busybox", "env")).split("\n").sort();

    test("has PATH, HOSTNAME and HOME, and nothing of the daemon's", async () => {
      const names = (await printed()).map((line) => line.split("=")[0]);
      expect(names).toEqual(["HOME", "HOSTNAME", "PATH"]);
    });

    test("-e sets, -e of the client's passes on, -e of an unset one is nothing", async () => {
      const options = { env: { FROM_CLIENT: "client's own" } };
      const args = ["-e", "A=1", "-e", "B=", "-e", "C=x=y z", "-e", "FROM_CLIENT", "-e", "NOT_SET_ANYWHERE"];
      const { stdout } = await cli.with(options, "run", "--rm", ...args, "busybox", "env");
      const lines = stdout.split("\n");
      expect(lines).toEqual(expect.arrayContaining(["A=1", "B=", "C=x=y z", "FROM_CLIENT=client's own"]));
      expect(stdout).not.toContain("NOT_SET_ANYWHERE");
    });

    test("--env-file: comments, blanks, pass-on; -e wins over it", async () => {
      const file = join(suite.engine.directory, "env");
      writeFileSync(file, '# comment\n\nA=from file\nB= spaces kept \nFROM_CLIENT\nQUOTED="as is"\n');
      const options = { env: { FROM_CLIENT: "passed" } };
      const { stdout } = await cli.with(
        options,
        "run",
        "--rm",
        "--env-file",
        file,
        "-e",
        "A=from flag",
        "busybox",
        "env",
      );
      expect(stdout).toContain("A=from flag\n");
      expect(stdout).toContain("B= spaces kept \n");
      expect(stdout).toContain("FROM_CLIENT=passed\n");
      expect(stdout).toContain('QUOTED="as is"\n');
    });

    test("the image's is there, and is overridden by name", async () => {
      const { stdout } = await cli("run", "--rm", "-e", "EMPTY=full", "--entrypoint", "env", "configured");
      expect(stdout).toContain("GREETING=hello from the image\n");
      expect(stdout).toContain("EMPTY=full\n");
      expect(stdout).not.toContain("EMPTY=\n");
      expect(stdout).toContain("HOME=/home/gina\n");
    });
  });

  describe("what the image says", () => {
    test("entrypoint and command", async () => {
      expect(await cli.ok("run", "--rm", "configured")).toBe(
        "entrypoint echo default command\ndefault command",
      );
    });

    test("arguments replace the command, not the entrypoint", async () => {
      expect(await cli.ok("run", "--rm", "configured", "echo", "mine")).toBe("entrypoint echo mine\nmine");
    });

    test("--entrypoint replaces both", async () => {
      expect(await cli.ok("run", "--rm", "--entrypoint", "echo", "configured")).toBe("");
      expect(await cli.ok("run", "--rm", "--entrypoint", "echo", "configured", "a", "b")).toBe("a b");
    });

    test("the user, and a working directory that the engine makes", async () => {
      const script = "id -u; id -g; pwd; stat -c %u .";
      const { stdout } = await cli("run", "--rm", "--entrypoint", "sh", "configured", "-c", script);
      expect(stdout.split("\n").slice(0, 3)).toEqual(["1000", "1000", "/made/by/the/engine"]);
    });

    test("labels of image and container", async () => {
      await cli.ok("create", "--name", "labelled", "-l", "shared=container", "-l", "own", "configured");
      const labels = JSON.parse(await cli.ok("inspect", "-f", "{{json .Config.Labels}}", "labelled"));
      expect(labels).toEqual({ "org.example.kind": "configured", shared: "container", own: "" });
    });
  });

  describe("users and directories", () => {
    const identity = async (user: string) =>
      await cli.ok("run", "--rm", "-u", user, "busybox", "sh", "-c", "echo $(id -u) $(id -g) $(id -G)");

    test.each([
      ["gina", "1000 1000 1000 50 100"],
      ["1000", "1000 1000 1000 50 100"],
      ["gina:staff", "1000 50 50"],
      ["gina:7777", "1000 7777 7777"],
      ["4242", "4242 0 0"],
      ["4242:4343", "4242 4343 4343"],
      ["0", "0 0 0"],
    ])("-u %s", async (user, expected) => {
      const [uid, gid, ...groups] = (await identity(user)).split(" ");
      const [expectedUid, expectedGid, ...expectedGroups] = expected.split(" ");
      expect([uid, gid]).toEqual([expectedUid, expectedGid]);
      expect([...new Set(groups)].sort()).toEqual(expectedGroups.sort());
    });

    test("-u of an unknown user or group is an error", async () => {
      const { code, stderr } = await cli("run", "--rm", "-u", "nobody-here", "busybox", "true");
      expect(stderr).toContain("unable to find user nobody-here: no matching entries in passwd file");
      expect(code).toBe(125);
      const group = await cli("run", "--rm", "-u", "root:no-group", "busybox", "true");
      expect(group.stderr).toContain("unable to find group no-group: no matching entries in group file");
      expect(group.code).toBe(125);
    });

    test("--group-add by name and number", async () => {
      const { stdout } = await cli(
        "run",
        "--rm",
        "--group-add",
        "staff",
        "--group-add",
        "777",
        "busybox",
        "id",
        "-G",
      );
      expect(stdout.trim().split(" ").sort()).toEqual(["0", "50", "777"].sort());
    });

    test("HOME is the user's", async () => {
      expect(await cli.ok("run", "--rm", "-u", "gina", "busybox", "sh", "-c", "echo $HOME")).toBe(
        "/home/gina",
      );
      expect(await cli.ok("run", "--rm", "-u", "4242", "busybox", "sh", "-c", "echo $HOME")).toBe("/");
    });

    test("-w makes the directory if it is not there", async () => {
      expect(await cli.ok("run", "--rm", "-w", "/not/there/yet", "busybox", "pwd")).toBe("/not/there/yet");
    });

    test("-w must be absolute", async () => {
      const { code, stderr } = await cli("run", "--rm", "-w", "relative", "busybox", "pwd");
      expect(stderr).toContain(
        "the working directory 'relative' is invalid, it needs to be an absolute path",
      );
      expect(code).toBe(125);
    });
  });

  describe("names and hosts", () => {
    test("-h sets the host name, also in /etc/hosts", async () => {
      const { stdout } = await cli(
        "run",
        "--rm",
        "-h",
        "box.example.org",
        "busybox",
        "sh",
        "-c",
        "hostname; cat /etc/hosts",
      );
      expect(stdout).toStartWith("box.example.org\n");
      expect(stdout).toContain("127.0.0.1\tlocalhost\n");
      expect(stdout).toMatch(/10\.\d+\.\d+\.\d+\tbox\.example\.org box\n/);
    });

    test("without -h it is the short id", async () => {
      const id = await cli.ok("run", "-d", "busybox", "hostname");
      await cli.ok("wait", id);
      expect(await cli.ok("logs", id)).toBe(id.slice(0, 12));
    });

    test("--add-host", async () => {
      const { stdout } = await cli(
        "run",
        "--rm",
        "--add-host",
        "other:192.0.2.7",
        "busybox",
        "cat",
        "/etc/hosts",
      );
      expect(stdout).toContain("192.0.2.7\tother\n");
    });

    test("a name is taken once", async () => {
      const id = await cli.ok("create", "--name", "taken", "busybox");
      const { code, stderr } = await cli("run", "--name", "taken", "busybox", "true");
      expect(stderr).toContain(
        `Conflict. The container name "/taken" is already in use by container "${id}"`,
      );
      expect(stderr).toContain(
        "You have to remove (or rename) that container to be able to reuse that name.",
      );
      expect(code).toBe(125);
    });

    test("a name has Docker's form", async () => {
      const { code, stderr } = await cli("run", "--name", "not/a name", "busybox", "true");
      expect(stderr).toContain(
        "Invalid container name (not/a name), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
      );
      expect(code).toBe(125);
    });

    test("without --name one is made up of two words", async () => {
      const id = await cli.ok("create", "busybox");
      expect(await cli.ok("inspect", "-f", "{{.Name}}", id)).toMatch(/^\/[a-z]+_[a-z]+\d?$/);
    });

    test("--cidfile", async () => {
      const file = join(suite.engine.directory, `cid-${Date.now()}`);
      const id = await cli.ok("run", "-d", "--cidfile", file, "busybox", "true");
      expect(await Bun.file(file).text()).toBe(id);
    });
  });

  describe("in the background", () => {
    test("-d prints the full id and leaves the container running", async () => {
      const id = await cli.ok("run", "-d", "busybox", "sleep", "60");
      expect(id).toMatch(/^[0-9a-f]{64}$/);
      expect(await cli.ok("ps", "-q", "--no-trunc")).toBe(id);
    });

    test("-d --rm removes the container when it ends", async () => {
      const id = await cli.ok("run", "-d", "--rm", "busybox", "true");
      await eventually(async () => (await cli("inspect", id)).code !== 0);
      expect(await cli.ok("ps", "-aq")).toBe("");
    });

    test("signals to the client reach the container", async () => {
      const script = "trap 'echo got TERM; exit 7' TERM; echo ready; while :; do sleep 0.1; done";
      using client = cli.spawn("run", "--rm", "busybox", "sh", "-c", script);
      await client.shows("ready");
      client.signal("SIGTERM");
      expect(await client.ended()).toBe(7);
      expect(client.stdout).toContain("got TERM");
    });

    test("the death of the client leaves the container alone", async () => {
      using client = cli.spawn("run", "--name", "alone", "busybox", "sh", "-c", "echo ready; sleep 60");
      await client.shows("ready");
      client.signal("SIGKILL");
      await client.ended();
      expect(await cli.ok("inspect", "-f", "{{.State.Running}}", "alone")).toBe("true");
    });
  });

  notInOracle("20.10 takes --pull as well, but words it otherwise")(
    "--pull never does not pull",
    async () => {
      const name = `${suite.registry.host}/busybox:next`;
      const { code, stderr } = await cli("run", "--rm", "--pull", "never", name, "true");
      expect(stderr).toContain(`No such image: ${name}`);
      expect(code).toBe(125);
    },
  );

  test("an image that is not there is pulled, then run", async () => {
    const name = `${suite.registry.host}/busybox:1.35`;
    await suite.engine.request("DELETE", `/images/${name}`);
    const { code, stdout, stderr } = await cli("run", "--rm", name, "echo", "pulled and run");
    expect(stderr).toContain(`Unable to find image '${name}' locally`);
    expect(stderr).toContain("Status: Downloaded newer image for");
    expect(stdout).toBe("pulled and run\n");
    expect(code).toBe(0);
    await suite.engine.request("DELETE", `/images/${name}`);
  });
});
