/** What a container cannot do, whatever is in its image: links for mount points, calls that are withheld, privileges. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox", "debian:bookworm"] });

/** Puts a link into the root of a container that does not run, as if an image had it. */
async function putLink(id: string, name: string, target: string): Promise<void> {
  const place = join(await upperOf(id), name);
  // The engine may have made what the link stands for at create.
  rmSync(place, { recursive: true, force: true });
  symlinkSync(target, place);
}

/** The writable layer of a container, as the host sees it. */
async function upperOf(id: string): Promise<string> {
  return (await suite.engine.call("GET", `/containers/${id}/json`)).GraphDriver.Data.UpperDir;
}

/** A directory of the host that is gone at the end, with a place for a mount in it. */
function hostDirectory() {
  const path = mkdtempSync(join(tmpdir(), "gantry-outside-"));
  mkdirSync(join(path, "target"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

withEachClient(suite, "links in an image", (cli) => {
  test("a mount point that is a link is followed in the container, wherever it leads", async () => {
    using outside = hostDirectory();
    const script = `cat ${outside.path}/target/mark; cat /proc/self/mountinfo`;
    await cli.ok("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo inside > /data/mark");
    const id = await cli.ok("create", "-v", "data:/evil", "busybox", "sh", "-c", script);
    mkdirSync(join(await upperOf(id), outside.path, "target"), { recursive: true });
    await putLink(id, "evil", `../../../../../..${outside.path}/target`);
    const output = await cli.ok("start", "-a", id);
    expect(output).toStartWith("inside\n");
    expect(output).toContain(` ${outside.path}/target `);
    expect(readdirSync(join(outside.path, "target"))).toEqual([]);
  });

  test("a working directory by way of a link is made in the container", async () => {
    using outside = hostDirectory();
    const id = await cli.ok("create", "-w", "/evil/made", "busybox", "pwd");
    await putLink(id, "evil", outside.path);
    await cli("start", "-a", id);
    expect(readdirSync(outside.path)).toEqual(["target"]);
  });

  for (const name of ["proc", "sys", "dev"]) {
    const check = name === "dev" ? notInOracle("the runtime of 20.10 follows it") : test;
    check(`a root whose /${name} is a link is refused`, async () => {
      using outside = hostDirectory();
      const id = await cli.ok("create", "busybox", "true");
      await putLink(id, name, outside.path);
      const { code, stderr } = await cli("start", "-a", id);
      expect(code).not.toBe(0);
      expect(stderr).toContain(name);
      expect(readdirSync(join(outside.path))).toEqual(["target"]);
      expect((await suite.engine.call("GET", `/containers/${id}/json`)).State.Status).toBe("created");
    });
  }
});

/** Numbers of system calls, which perl does not know by name. */
const CALLS =
  process.arch === "arm64"
    ? { keyctl: 219, add_key: 217, bpf: 280, socket: 198, unshare: 97, io_uring_setup: 425 }
    : { keyctl: 250, add_key: 248, bpf: 321, socket: 41, unshare: 272, io_uring_setup: 425 };
const AF_ALG = 38;
const SOCK_SEQPACKET = 5;
const CLONE_NEWUSER = 0x10000000;
const GET_KEYRING = "0, -3, 0";

withEachClient(suite, "system calls", (cli) => {
  /** `<result> <errno>` of each call. */
  const perl = (calls: readonly string[]): string[] => [
    ...["perl", "-e"],
    calls.map((call) => `$r = syscall(${call}); print "$r ", $r < 0 ? $!+0 : 0, "\\n";`).join(" "),
  ];
  const withheld = [`${CALLS.keyctl}, ${GET_KEYRING}`, `${CALLS.unshare}, ${CLONE_NEWUSER}`];
  const newlyWithheld = [`${CALLS.socket}, ${AF_ALG}, ${SOCK_SEQPACKET}, 0`, `${CALLS.io_uring_setup}, 1, 0`];
  const REFUSED = /^-1 (1|38)$/;

  const checks = [
    [test, "keyctl and a new user namespace", withheld],
    [notInOracle("20.10 still lets them pass"), "sockets of AF_ALG and io_uring", newlyWithheld],
  ] as const;
  for (const [check, name, calls] of checks) {
    check(`${name}: withheld from run and exec, let through without the filter`, async () => {
      const free = ["--security-opt", "seccomp=unconfined"];
      const open = await cli.ok("run", "--rm", ...free, "debian:bookworm", ...perl(calls));
      for (const line of open.split("\n")) expect(line).not.toMatch(REFUSED);
      const id = await cli.ok("run", "-d", "debian:bookworm", "sleep", "600");
      for (const output of [
        await cli.ok("run", "--rm", "debian:bookworm", ...perl(calls)),
        await cli.ok("exec", id, ...perl(calls)),
      ]) {
        const lines = output.split("\n");
        expect(lines).toHaveLength(calls.length);
        for (const line of lines) expect(line).toMatch(REFUSED);
      }
    });
  }

  test("bpf is withheld", async () => {
    expect(await cli.ok("run", "--rm", "debian:bookworm", ...perl([`${CALLS.bpf}, 0, 0, 0`]))).toMatch(
      REFUSED,
    );
  });
});

withEachClient(suite, "privileges", (cli) => {
  const status = "grep -E '^(CapInh|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status";

  test("exec, restart and update do not widen them", async () => {
    const options = ["--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges"];
    const id = await cli.ok("run", "-d", ...options, "busybox", "sleep", "600");
    const held = await cli.ok("exec", id, "sh", "-c", status);
    expect(held).toMatch(/CapEff:\s+0000000000000001\nCapBnd:\s+0000000000000001/);
    expect(held).toMatch(/NoNewPrivs:\s+1\nSeccomp:\s+2$/);
    await cli.ok("restart", "-t", "0", id);
    expect(await cli.ok("exec", id, "sh", "-c", status)).toBe(held);
    await suite.engine.call("POST", `/containers/${id}/update`, { CpuShares: 512 });
    expect(await cli.ok("exec", id, "sh", "-c", status)).toBe(held);
    expect(await cli.ok("exec", "-u", "gina", id, "sh", "-c", status)).toMatch(/CapEff:\s+0000000000000000/);
  });

  test("control groups are seen, not written, and cannot be mounted", async () => {
    const shell = (script: string) => cli("run", "--rm", "busybox", "sh", "-c", script);
    const { stdout } = await shell("grep -E ' cgroup2? (rw|ro)[, ]' /proc/mounts");
    const trees = stdout.trim().split("\n");
    for (const tree of trees) expect(tree).toMatch(/^\S+ \/sys\/fs\/cgroup\S* cgroup2? ro[, ]/);
    const tries = [
      "mount -t cgroup -o memory none /mnt",
      "mount -t cgroup2 none /mnt",
      "mount -o remount,rw /sys/fs/cgroup",
      "unshare -C true",
    ];
    for (const attempt of tries) {
      const { stdout: said } = await shell(`${attempt} 2>&1 && echo done`);
      expect(said).not.toContain("done");
    }
  });

  notInOracle("20.10 masks fewer")("every masked path that the host has is covered", async () => {
    const masked = [
      ...["asound", "acpi", "interrupts", "kcore", "keys", "latency_stats", "timer_list", "timer_stats"].map(
        (name) => `/proc/${name}`,
      ),
      ...["/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"],
      ...readdirSync("/sys/devices/system/cpu").map(
        (cpu) => `/sys/devices/system/cpu/${cpu}/thermal_throttle`,
      ),
    ].filter((path) => existsSync(path));
    const readOnly = ["bus", "fs", "irq", "sys", "sysrq-trigger"]
      .map((name) => `/proc/${name}`)
      .filter((path) => existsSync(path));
    const table = await cli.ok("run", "--rm", "busybox", "cat", "/proc/self/mountinfo");
    const optionsAt = new Map(table.split("\n").map((line) => [line.split(" ")[4], line.split(" ")[5]]));
    expect([...masked, ...readOnly].filter((path) => !optionsAt.has(path))).toEqual([]);
    for (const path of readOnly) expect(optionsAt.get(path)).toMatch(/^ro,/);
  });
});
