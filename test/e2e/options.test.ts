/** Options of `run` that shape the sandbox: limits, capabilities, devices, read-only, init, ulimits, privileges. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/cli.ts";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine();

/** A control file of a container's cgroup: the v1 controller and file, or the v2 file. */
async function cgroupValue(id: string, v1: [controller: string, file: string], v2: string): Promise<string> {
  const { State } = await suite.engine.call("GET", `/containers/${id}/json`);
  const lines = readFileSync(`/proc/${State.Pid}/cgroup`, "utf8").trim().split("\n");
  for (const line of lines) {
    const [, controllers = "", path = ""] = line.split(":");
    const [root, file] = controllers === "" ? ["/sys/fs/cgroup", v2] : [`/sys/fs/cgroup/${v1[0]}`, v1[1]];
    const found = join(root, path, file);
    if ((controllers === "" || controllers.split(",").includes(v1[0])) && existsSync(found)) {
      return readFileSync(found, "utf8").trim();
    }
  }
  throw new Error(`no ${v1.join("/")} or ${v2} in ${lines.join(" ")}`);
}

withEachClient(suite, "options", (cli) => {
  const started = async (...args: string[]) => await cli.ok("run", "-d", ...args, "busybox", "sleep", "600");
  const shell = async (script: string, ...args: string[]) =>
    await cli.ok("run", "--rm", ...args, "busybox", "sh", "-c", script);

  describe("limits", () => {
    test("--memory is in the cgroup", async () => {
      const id = await started("-m", "48m");
      expect(await cgroupValue(id, ["memory", "memory.limit_in_bytes"], "memory.max")).toBe(String(48 << 20));
    });

    test("what needs more is killed, and inspect says so", async () => {
      const { code } = await cli(
        "run",
        "--name",
        "box",
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "sh",
        "-c",
        "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo survived",
      );
      expect(code).not.toBe(0);
      expect(await cli.ok("inspect", "-f", "{{.State.OOMKilled}}", "box")).toBe("true");
    });

    test("--cpus", async () => {
      const id = await started("--cpus", "0.5");
      expect(await cgroupValue(id, ["cpu", "cpu.cfs_quota_us"], "cpu.max")).toMatch(/^50000( 100000)?$/);
      expect(await cli.ok("inspect", "-f", "{{.HostConfig.NanoCpus}}", id)).toBe("500000000");
    });

    test("--cpu-shares and --cpuset-cpus", async () => {
      const id = await started("--cpu-shares", "512", "--cpuset-cpus", "0");
      expect(await cgroupValue(id, ["cpuset", "cpuset.cpus"], "cpuset.cpus")).toBe("0");
      expect(["512", "20"]).toContain(await cgroupValue(id, ["cpu", "cpu.shares"], "cpu.weight"));
    });

    test("--pids-limit", async () => {
      const id = await started("--pids-limit", "20");
      expect(await cgroupValue(id, ["pids", "pids.max"], "pids.max")).toBe("20");
      const { stderr } = await cli("exec", id, "sh", "-c", "for i in $(seq 40); do sleep 5 & done");
      expect(stderr).toContain("can't fork");
    });

    test("--memory at the end of 64 bits keeps its digits, and leaves swap without a limit", async () => {
      const id = await started("-m", "9223372036854771712");
      const shown = await suite.engine.request("GET", `/containers/${id}/json`);
      expect(shown.text).toContain('"Memory":9223372036854771712,');
      expect(shown.text).toContain('"MemorySwap":-1,');
      expect(await cli.ok("inspect", "-f", "{{.HostConfig.Memory}}", id)).toBe("9223372036854771712");
    });

    test("--memory below the least possible is refused", async () => {
      const { code, stderr } = await cli("run", "-m", "1m", "busybox", "true");
      expect(stderr).toContain("Minimum memory limit allowed is 6MB");
      expect(code).toBe(125);
    });

    test("--ulimit", async () => {
      expect(await shell("ulimit -Sn; ulimit -Hn", "--ulimit", "nofile=512:1024")).toBe("512\n1024");
      expect(await shell("ulimit -c", "--ulimit", "core=0")).toBe("0");
    });

    test("--shm-size", async () => {
      expect(await shell("df -k /dev/shm | tail -1 | awk '{print $2}'", "--shm-size", "8m")).toBe("8192");
      expect(await shell("df -k /dev/shm | tail -1 | awk '{print $2}'")).toBe("65536");
    });

    test("--sysctl and --oom-score-adj", async () => {
      expect(await shell("cat /proc/sys/net/core/somaxconn", "--sysctl", "net.core.somaxconn=77")).toBe("77");
      expect(await shell("cat /proc/self/oom_score_adj", "--oom-score-adj", "321")).toBe("321");
    });
  });

  describe("privileges", () => {
    const capabilities = async (...args: string[]) => {
      const status = await shell("grep ^Cap /proc/self/status", ...args);
      return Object.fromEntries(status.split("\n").map((line) => line.split(/:\s+/))) as Record<
        string,
        string
      >;
    };

    test("the fourteen default capabilities, none inheritable or ambient", async () => {
      expect(await capabilities()).toMatchObject({
        CapBnd: "00000000a80425fb",
        CapEff: "00000000a80425fb",
        CapPrm: "00000000a80425fb",
        CapAmb: "0000000000000000",
      });
    });

    notInOracle("20.10 still sets the inheritable ones")("none is inheritable", async () => {
      expect((await capabilities()).CapInh).toBe("0000000000000000");
    });

    test("a plain user has none effective", async () => {
      expect(await capabilities("-u", "gina")).toMatchObject({
        CapEff: "0000000000000000",
        CapBnd: "00000000a80425fb",
      });
    });

    test("--cap-add, --cap-drop, ALL", async () => {
      expect((await capabilities("--cap-add", "NET_ADMIN")).CapEff).toBe("00000000a80435fb");
      expect((await capabilities("--cap-add", "CAP_SYS_ADMIN")).CapEff).toBe("00000000a82425fb");
      expect((await capabilities("--cap-drop", "NET_RAW")).CapEff).toBe("00000000a80405fb");
      expect((await capabilities("--cap-drop", "ALL")).CapEff).toBe("0000000000000000");
      expect((await capabilities("--cap-drop", "all", "--cap-add", "chown")).CapEff).toBe("0000000000000001");
    });

    test("an unknown capability is refused", async () => {
      const { code, stderr } = await cli("run", "--cap-add", "NOT_A_CAP", "busybox", "true");
      expect(stderr).toMatch(/[Uu]nknown capability.*NOT_A_CAP/);
      expect(code).toBe(125);
    });

    test("seccomp filters by default, not with seccomp=unconfined", async () => {
      expect(await shell("grep ^Seccomp: /proc/self/status")).toMatch(/2$/);
      expect(await shell("grep ^Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined")).toMatch(
        /0$/,
      );
      expect(await shell("unshare -U true 2>&1 || echo refused")).toContain("refused");
    });

    test("no-new-privileges", async () => {
      expect(
        await shell("grep ^NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges"),
      ).toMatch(/1$/);
      expect(await shell("grep ^NoNewPrivs /proc/self/status")).toMatch(/0$/);
    });

    test("/proc and /sys are masked and read-only where they must be", async () => {
      expect(await shell("cat /proc/kcore | head -c 1 | wc -c; ls /proc/acpi /sys/firmware | wc -l")).toMatch(
        /^0\n/,
      );
      expect(
        (await cli("run", "--rm", "busybox", "sh", "-c", "echo 1 > /proc/sys/kernel/panic")).stderr,
      ).toContain("ead-only file system");
      expect(
        (await cli("run", "--rm", "busybox", "sh", "-c", "mkdir /sys/fs/cgroup/x /sys/x")).stderr,
      ).toContain("ead-only file system");
      expect((await cli("run", "--rm", "busybox", "mount", "-t", "tmpfs", "x", "/mnt")).code).not.toBe(0);
    });

    notInOracle("runc asks for a capability that this host withholds")("--privileged", async () => {
      const script =
        "mkdir /m && mount -t tmpfs x /m && echo mounted; ls /dev | wc -l; grep ^Seccomp: /proc/self/status";
      const [mounted, devices, seccomp] = (await shell(script, "--privileged")).split("\n");
      expect(mounted).toBe("mounted");
      expect(Number(devices)).toBeGreaterThan(20);
      expect(seccomp).toMatch(/0$/);
    });

    test("--device gives one device, and no other can be opened", async () => {
      expect(await shell("stat -c %t:%T /dev/mine", "--device", "/dev/full:/dev/mine")).toBe("1:7");
      expect(await shell("mknod /dev/disk b 254 0; head -c 1 /dev/disk 2>&1 || true")).toMatch(
        /not permitted|No such device/,
      );
    });

    test("the usual devices are there", async () => {
      const script =
        "for d in null zero full random urandom tty ptmx; do test -c /dev/$d || echo no $d; done; ls -d /dev/fd /dev/stdin /dev/shm /dev/mqueue | wc -l; echo x > /dev/null";
      expect(await shell(script)).toBe("4");
    });
  });

  describe("file system and processes", () => {
    test("--read-only", async () => {
      const { stderr, stdout } = await cli(
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "busybox",
        "sh",
        "-c",
        "echo x > /file; echo y > /tmp/file && cat /tmp/file",
      );
      expect(stderr).toContain("Read-only file system");
      expect(stdout).toBe("y\n");
    });

    test("--tmpfs with options", async () => {
      const found = await shell(
        "grep ' /t ' /proc/mounts; stat -c %a /t",
        "--tmpfs",
        "/t:size=1m,mode=0711,exec",
      );
      expect(found).toMatch(/^tmpfs \/t tmpfs rw,nosuid,nodev,relatime,size=1024k,mode=711/);
      expect(found).toMatch(/\n711$/);
    });

    test("--init reaps and forwards", async () => {
      expect(await shell("cat /proc/1/comm", "--init")).toMatch(/init|tini|catatonit|gantry/);
      const id = await cli.ok(
        "run",
        "-d",
        "--init",
        "busybox",
        "sh",
        "-c",
        "sh -c '(sleep 0.2 &)'; sleep 1; ps -o stat,comm",
      );
      expect(await cli.ok("wait", id)).toBe("0");
      expect(await cli.ok("logs", id)).not.toMatch(/^Z/m);
      expect((await cli("run", "--rm", "--init", "busybox", "sh", "-c", "exit 7")).code).toBe(7);
      const stopped = await cli.ok("run", "-d", "--init", "busybox", "sleep", "600");
      // A signal that comes before the init has its handlers is lost, with Docker too.
      await eventually(async () => (await cli("exec", stopped, "ps")).stdout.split("sleep 600").length > 2);
      const began = Date.now();
      await cli.ok("stop", stopped);
      expect(Date.now() - began).toBeLessThan(4_000);
    });

    test("process 1 is the program, alone in its namespace", async () => {
      expect(await shell("cat /proc/1/cmdline | tr '\\0' ' '; ls -d /proc/[0-9]* | wc -l")).toMatch(
        /^sh -c [\s\S]* [1-4]$/,
      );
    });

    test("--pid host and --ipc host and --uts host", async () => {
      expect(Number(await shell("ls -d /proc/[0-9]* | wc -l", "--pid", "host"))).toBeGreaterThan(10);
      expect(await shell("hostname", "--uts", "host")).toBe(
        readFileSync("/proc/sys/kernel/hostname", "utf8").trim(),
      );
      expect(await shell("readlink /proc/self/ns/ipc", "--ipc", "host")).toBe(
        await Bun.$`readlink /proc/self/ns/ipc`.text().then((text) => text.trim()),
      );
    });

    test("--pid container: sees the other's processes", async () => {
      const id = await cli.ok("run", "-d", "busybox", "sleep", "654");
      expect(await shell("ps", "--pid", `container:${id}`)).toContain("sleep 654");
    });

    test("nothing of the host's descriptors is inherited", async () => {
      expect(await shell("ls /proc/self/fd | tr '\\n' ' '")).toMatch(/^0 1 2 3 ?$/);
    });

    test("what a container writes is seen by it alone", async () => {
      await cli.ok(
        "run",
        "--name",
        "aa",
        "busybox",
        "sh",
        "-c",
        "echo changed > /etc/passwd; rm -r /home; mkdir /new",
      );
      expect(await shell("wc -l < /etc/passwd; ls -d /home /new 2>&1; true")).toMatch(
        /^5\n.*\/new: No such file.*\n?\/home/,
      );
    });

    test("top", async () => {
      const id = await cli.ok("run", "-d", "busybox", "sleep", "321");
      await eventually(async () =>
        (await suite.engine.request("GET", `/containers/${id}/top`)).text.includes("sleep 321"),
      );
    });
  });
});
