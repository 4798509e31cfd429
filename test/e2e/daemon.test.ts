/** The daemon as a process: its flags have their effect, its sockets and files are its own, its end hurts nobody. */
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import { cliOf, eventually } from "../support/cli.ts";
import { executablePath, oracle, startEngine } from "../support/engine.ts";
import { useEngine } from "../support/suite.ts";

const flags = [
  ...["--label", "tier=test", "--label", "rack=7", "--dns", "192.0.2.53", "--dns-search", "example.org"],
  ...["--dns-opt", "ndots:3", "--default-ulimit", "nofile=1000:1500", "--init", "--mtu", "1280"],
  ...[
    "--ip",
    "127.0.0.1",
    "--log-opt",
    "max-size=1m",
    "--default-shm-size",
    "32m",
    "--shutdown-timeout",
    "5",
  ],
  ...["--registry-mirror", "http://127.0.0.1:1", "--insecure-registry", "10.9.0.0/16", "--live-restore"],
  ...["--insecure-registry", "registry.example:5000", "--add-runtime", "second=/usr/bin/crun", "--iptables"],
];
const suite = oracle ? undefined : useEngine({ flags });
const engine = () => {
  if (!suite) throw new Error("not with the oracle");
  return suite.engine;
};

describe.skipIf(oracle)("flags have their effect", () => {
  const docker = (...args: string[]) => cliOf("docker", engine()).ok(...args);
  const shell = (script: string, ...args: string[]) =>
    docker("run", "--rm", ...args, "busybox", "sh", "-c", script);

  test("/info tells what was set", async () => {
    const info = await engine().call("GET", "/info");
    expect(info.Labels).toEqual(["tier=test", "rack=7"]);
    expect(info.Runtimes.second).toEqual({ path: "/usr/bin/crun" });
    expect(info.RegistryConfig.Mirrors).toEqual(["http://127.0.0.1:1/"]);
    expect(info.RegistryConfig.InsecureRegistryCIDRs).toContain("10.9.0.0/16");
    expect(info.RegistryConfig.IndexConfigs["registry.example:5000"].Secure).toBe(false);
    expect(info.LiveRestoreEnabled).toBe(true);
    expect(info.DockerRootDir).toBe(engine().dataRoot);
  });

  test("--dns, --dns-search, --dns-opt stand in resolv.conf", async () => {
    const file = await shell("cat /etc/resolv.conf");
    expect(file).toContain("nameserver 192.0.2.53");
    expect(file).toContain("search example.org");
    expect(file).toContain("ndots:3");
  });

  test("--default-ulimit, and --ulimit over it", async () => {
    expect(await shell("ulimit -Sn; ulimit -Hn")).toBe("1000\n1500");
    expect(await shell("ulimit -Sn", "--ulimit", "nofile=700:700")).toBe("700");
  });

  test("--init, and --init=false over it", async () => {
    expect(await shell("cat /proc/1/comm")).not.toBe("sh");
    expect(await shell("cat /proc/1/comm", "--init=false")).toMatch(/^(sh|cat)$/);
  });

  test("--mtu, --bip, --default-shm-size", async () => {
    expect(await shell("cat /sys/class/net/eth0/mtu")).toBe("1280");
    expect(await shell("ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'")).toBe(engine().gateway);
    expect(await shell("df -k /dev/shm | tail -1 | awk '{print $2}'")).toBe("32768");
  });

  test("--ip is where ports are published", async () => {
    const id = await docker("run", "-d", "-p", "80", "busybox", "sleep", "60");
    expect(await docker("port", id)).toStartWith("80/tcp -> 127.0.0.1:");
  });

  test("--log-opt is the default of containers", async () => {
    const id = await docker("create", "busybox");
    const { HostConfig } = await engine().call("GET", `/containers/${id}/json`);
    expect(HostConfig.LogConfig).toEqual({ Type: "json-file", Config: { "max-size": "1m" } });
  });

  test("--add-runtime can be asked for", async () => {
    expect(await shell("echo ran", "--runtime", "second")).toBe("ran");
  });

  test("nothing listens where any process of the host's network could reach it: no abstract sockets", async () => {
    await docker("run", "-d", "-t", "--name", "box", "busybox", "sleep", "600");
    await docker("exec", "-d", "box", "sleep", "600");
    const abstract = readFileSync("/proc/net/unix", "utf8")
      .split("\n")
      .map((line) => /^(?:\S+ +){6}(\d+) @(.*)$/.exec(line))
      .flatMap((match) => (match ? [match[1]] : []));
    const monitors = (await Bun.$`pgrep -f ${`conmon .*${engine().execRoot}`}`.text()).trim().split("\n");
    expect(monitors).toHaveLength(2);
    for (const pid of [engine().pid, ...monitors]) {
      const sockets = readdirSync(`/proc/${pid}/fd`)
        .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
        .flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
      expect(sockets.length).toBeGreaterThan(0);
      expect(sockets.filter((inode) => abstract.includes(inode))).toEqual([]);
    }
  });

  test("directories are closed to others, whatever the umask", () => {
    expect(statSync(engine().dataRoot).mode & 0o777).toBe(0o710);
    expect(statSync(engine().execRoot).mode & 0o777).toBe(0o700);
    expect(statSync(join(engine().dataRoot, "tmp")).mode & 0o777).toBe(0o700);
  });
});

describe.skipIf(oracle)("the life of a daemon", () => {
  const program = async (...args: string[]) => {
    const child = Bun.spawn([executablePath, "daemon", ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
    const [stderr, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
    clearTimeout(late);
    return { stderr, code };
  };
  const scratch = () => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-daemon-"));
    return {
      roots: ["--data-root", join(directory, "d"), "--exec-root", join(directory, "e"), "--bridge", "none"],
      directory,
      [Symbol.dispose]: () => {
        for (const mount of mountsUnder(directory)) Bun.spawnSync(["umount", "-l", mount]);
        rmSync(directory, { recursive: true, force: true });
      },
    };
  };

  test("SIGTERM ends it soon and well, with a container running and streams open; both survive as they should", async () => {
    await using other = await startEngine();
    await other.provide(suite?.registry.host ?? "", "busybox");
    const docker = cliOf("docker", other);
    await docker.ok("run", "-d", "--name", "worker", "--restart", "always", "busybox", "sleep", "1000");
    const events = fetch("http://localhost/events", { unix: other.socket }).then((reply) => reply.text());
    const waiting = fetch("http://localhost/containers/worker/wait", { unix: other.socket, method: "POST" });
    await Bun.sleep(200);
    const pid = (await other.call("GET", "/containers/worker/json")).State.Pid;
    const begun = performance.now();
    await other.stop();
    expect(performance.now() - begun).toBeLessThan(3000);
    await Promise.allSettled([events, waiting]);
    expect(existsSync(other.socket)).toBe(false);
    expect(existsSync(join(other.directory, "pid"))).toBe(false);
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    await other.start();
    expect((await other.call("GET", "/containers/worker/json")).State.Pid).toBe(pid);
    await docker.ok("rm", "-f", "worker");
  }, 60_000);

  test("after SIGKILL the socket that it left is taken, and so is its pid file", async () => {
    await using other = await startEngine();
    await other.call("POST", "/volumes/create", { Name: "kept" });
    await other.kill();
    expect(existsSync(other.socket)).toBe(true);
    await other.start();
    expect((await other.call("GET", "/volumes/kept")).Name).toBe("kept");
    expect(readFileSync(join(other.directory, "pid"), "utf8").trim()).toBe(String(other.pid));
    await other.call("DELETE", "/volumes/kept");
  }, 60_000);

  test("comes up though children outlived the process of a container, which then starts again", async () => {
    await using other = await startEngine();
    await other.provide(suite?.registry.host ?? "", "busybox");
    const docker = cliOf("docker", other);
    await docker.ok(
      ...["run", "-d", "--name", "parent", "--pid=host", "busybox"],
      ...["sh", "-c", "sleep 999 & wait"],
    );
    const { Pid } = (await other.call("GET", "/containers/parent/json")).State;
    await other.kill();
    process.kill(Pid, "SIGKILL");
    await eventually(() => !existsSync(`/proc/${Pid}/root`));
    await other.start();
    expect((await other.call("GET", "/containers/parent/json")).State.Status).toBe("exited");
    await docker.ok("start", "parent");
    await docker.ok("rm", "-f", "parent");
  }, 60_000);

  test("a container that ends while the disk is full is known to have ended, and can be removed", async () => {
    await using other = await startEngine();
    await other.stop();
    await $`mount -t tmpfs -o size=48m none ${other.dataRoot}`.quiet();
    try {
      await other.start();
      await other.provide(suite?.registry.host ?? "", "busybox");
      const docker = cliOf("docker", other);
      for (const name of ["one", "two"])
        await docker.ok("run", "-d", "--name", name, "busybox", "sleep", "1000");
      await $`dd if=/dev/zero of=${other.dataRoot}/ballast bs=4k`.nothrow().quiet();
      for (const name of ["one", "two"]) {
        process.kill((await other.call("GET", `/containers/${name}/json`)).State.Pid, "SIGKILL");
        expect(await docker.ok("wait", name)).toBe("137");
      }
      await eventually(async () => (await docker.ok("ps", "-q")) === "");
      await docker.ok("rm", "one");
      await docker.ok("rm", "-f", "two");
      rmSync(`${other.dataRoot}/ballast`);
    } finally {
      await other.stop();
      await $`umount ${other.dataRoot}`.quiet();
    }
  }, 60_000);

  test("a start whose runtime hangs does not keep the container from being removed", async () => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-runtime-"));
    const hanging = join(directory, "hanging");
    writeFileSync(hanging, '#!/bin/sh\n[ "$1" = --version ] && exec crun --version\nexec sleep 1000\n', {
      mode: 0o755,
    });
    await using other = await startEngine({ flags: ["--add-runtime", `hanging=${hanging}`] });
    await other.provide(suite?.registry.host ?? "", "busybox");
    const docker = cliOf("docker", other);
    await docker.ok("create", "--name", "stuck", "--runtime", "hanging", "busybox", "true");
    const started = docker("start", "stuck");
    await eventually(async () => (await docker("ps", "-a")).stdout.includes("stuck"));
    await Bun.sleep(300);
    await docker.ok("rm", "-f", "stuck");
    const { stderr, code } = await started;
    expect([code, stderr.includes("was called off")]).toEqual([1, true]);
    rmSync(directory, { recursive: true });
  }, 60_000);

  test("the socket of a daemon that lives is never taken, nor a file that is no socket", async () => {
    using one = scratch();
    const taken = await program(...one.roots, "--host", engine().host);
    expect(taken.code).toBe(1);
    expect(taken.stderr).toContain("in use");
    expect(await engine().answers()).toBe(true);
    const file = join(one.directory, "file");
    writeFileSync(file, "mine");
    const wrong = await program(...one.roots, "--host", `unix://${file}`);
    expect(wrong.code).toBe(1);
    expect(readFileSync(file, "utf8")).toBe("mine");
  });

  test("whoever starts it with another umask gets the same modes", async () => {
    using one = scratch();
    const path = join(one.directory, "run/deep/s");
    const command = [executablePath, "daemon", ...one.roots, "--host", `unix://${path}`].join(" ");
    const child = Bun.spawn(["sh", "-c", `umask 077; exec ${command}`], {
      stdin: "ignore",
      stderr: "ignore",
    });
    try {
      await eventually(async () => existsSync(path));
      expect(statSync(join(one.directory, "run/deep")).mode & 0o777).toBe(0o755);
      expect(statSync(path).mode & 0o777).toBe(0o660);
      expect(statSync(join(one.directory, "d")).mode & 0o777).toBe(0o710);
    } finally {
      child.kill();
      await child.exited;
    }
  });

  test("one exec root is not for two", async () => {
    using one = scratch();
    const { code, stderr } = await program(
      ...["--data-root", join(one.directory, "d"), "--exec-root", engine().execRoot, "--bridge", "none"],
      ...["--host", `unix://${one.directory}/s`],
    );
    expect(code).toBe(1);
    expect(stderr).toContain(`the exec root ${engine().execRoot} is in use by another running gantry daemon`);
  });

  test("an unknown flag ends with 125, wrong values with 1, and both say so", async () => {
    const flag = await program("--frob");
    expect([flag.code, flag.stderr]).toEqual([125, "unknown flag: --frob\nSee 'gantry daemon --help'.\n"]);
    const value = await program("--dns", "nonsense");
    expect(value.code).toBe(1);
    expect(value.stderr).toContain("nonsense is not an ip address");
    const group = await program("--group", "no-such-group", "--validate");
    expect(group.code).toBe(0);
  });

  test("a group that is not there is refused", async () => {
    using one = scratch();
    const { code, stderr } = await program(
      ...one.roots,
      "--group",
      "no-such-group",
      "--host",
      `unix://${one.directory}/s`,
    );
    expect(code).toBe(1);
    expect(stderr).toContain("no-such-group");
  });

  test("--list-routes names every operation once, with its state", async () => {
    const table = await $`${executablePath} daemon --list-routes`.text();
    const lines = table.trim().split("\n");
    expect(lines.length).toBeGreaterThanOrEqual(108);
    expect(table).toMatch(/^POST +\/containers\/create +built +ContainerCreate$/m);
    expect(table).toMatch(/^POST +\/swarm\/init +not built +SwarmInit$/m);
  });

  test("SIGHUP reads again what can change while it runs; a file that is wrong changes nothing", async () => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-reload-"));
    const file = join(directory, "daemon.json");
    writeFileSync(file, JSON.stringify({ labels: ["a=1"] }));
    await using other = await startEngine({ flags: ["--config-file", file] });
    const labels = async () => (await other.call("GET", "/info")).Labels;
    expect(await labels()).toEqual(["a=1"]);
    writeFileSync(
      file,
      JSON.stringify({
        labels: ["a=2"],
        debug: true,
        "default-shm-size": "32m",
        "insecure-registries": ["r:1"],
      }),
    );
    process.kill(other.pid, "SIGHUP");
    await eventually(async () => (await labels())[0] === "a=2");
    expect((await other.call("GET", "/info")).Debug).toBe(true);
    writeFileSync(file, "{");
    process.kill(other.pid, "SIGHUP");
    await eventually(async () => other.log().includes("configuration not reloaded"));
    expect(await labels()).toEqual(["a=2"]);
    const events = await other.request("GET", `/events?since=1&until=${Math.ceil(Date.now() / 1000)}`);
    const reload = JSON.parse(events.text.split("\n").find((line) => line.includes('"reload"')) ?? "{}");
    expect(reload.Actor.Attributes).toMatchObject({
      debug: "true",
      "default-runtime": "crun",
      "default-shm-size": "33554432",
      "insecure-registries": '["r:1"]',
      labels: '["a=2"]',
      "max-concurrent-downloads": "3",
      "shutdown-timeout": "15",
    });
    const { RegistryConfig } = await other.call("GET", "/info");
    expect(RegistryConfig.IndexConfigs["r:1"].Secure).toBe(false);
    await other.provide(suite?.registry.host ?? "", "busybox");
    const { Id } = await other.call("POST", "/containers/create", { Image: "busybox" });
    expect((await other.call("GET", `/containers/${Id}/json`)).HostConfig.ShmSize).toBe(32 << 20);
    rmSync(directory, { recursive: true });
  }, 60_000);

  test("the daemon's proxy is shown without its password, used, and no container's business", async () => {
    const asked: string[] = [];
    using proxy = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, bytes) {
          asked.push(bytes.toString().split("\r\n")[0] ?? "");
          socket.end("HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n");
        },
      },
    });
    await using other = await startEngine({
      environment: { HTTPS_PROXY: `http://me:secret@127.0.0.1:${proxy.port}`, NO_PROXY: "inside.example" },
    });
    const info = await other.call("GET", "/info");
    expect([info.HttpProxy, info.HttpsProxy, info.NoProxy]).toEqual([
      "",
      `http://xxxxx:xxxxx@127.0.0.1:${proxy.port}`,
      "inside.example",
    ]);
    await expect(other.pull("outside.example:5001/image:latest")).rejects.toThrow();
    expect(asked[0]).toBe("CONNECT outside.example:5001 HTTP/1.1");
    await other.provide(suite?.registry.host ?? "", "busybox");
    const docker = cliOf("docker", other);
    expect(await docker.ok("run", "--rm", "--network", "none", "busybox", "env")).not.toContain("PROXY");
    expect(other.log()).not.toContain("secret");
  }, 60_000);

  test("TLS with client certificates lets in who has one, and nobody else", async () => {
    using certificates = makeCertificates();
    const { directory } = certificates;
    const file = (name: string) => join(directory, name);
    const port = await freePort();
    await using _other = await startEngine({
      flags: [
        ...["--host", `tcp://127.0.0.1:${port}`, "--tlsverify", "--tlscacert", file("ca.pem")],
        ...["--tlscert", file("server.pem"), "--tlskey", file("server.key")],
      ],
    });
    const asks = (...extra: string[]) =>
      $`curl -sS --cacert ${file("ca.pem")} ${extra} https://127.0.0.1:${port}/_ping`.nothrow().quiet();
    const known = await asks("--cert", file("client.pem"), "--key", file("client.key"));
    expect(known.text()).toBe("OK");
    const unknown = await asks();
    expect(unknown.exitCode).not.toBe(0);
    const env = { ...process.env, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: directory };
    for (const name of ["cert.pem", "key.pem"]) {
      writeFileSync(file(name), readFileSync(file(name === "cert.pem" ? "client.pem" : "client.key")));
    }
    const version = await $`docker -H tcp://127.0.0.1:${port} version -f {{.Server.Version}}`
      .env(env)
      .quiet();
    expect(version.text().trim()).toMatch(/^\d+\.\d+\.\d+/);
  }, 60_000);

  test("--insecure-tcp opens the port, and says loudly what that means", async () => {
    const port = await freePort();
    await using other = await startEngine({ flags: ["--host", `tcp://127.0.0.1:${port}`, "--insecure-tcp"] });
    expect(await (await fetch(`http://127.0.0.1:${port}/_ping`)).text()).toBe("OK");
    expect(other.log()).toContain("is root access on this host");
    expect((await other.call("GET", "/info")).Warnings.join()).toContain("is root access on this host");
  }, 60_000);
});

function mountsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}

async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const { port = 0 } = server;
  await server.stop(true);
  return port;
}

/** A CA, a server certificate for 127.0.0.1 and a client's. */
function makeCertificates(): Disposable & { readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), "gantry-tls-"));
  const openssl = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: directory, stderr: "pipe" });
    if (exitCode !== 0) throw new Error(stderr.toString());
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2");
  for (const [name, extension] of [
    ["server", "subjectAltName=IP:127.0.0.1"],
    ["client", "extendedKeyUsage=clientAuth"],
  ] as const) {
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    writeFileSync(join(directory, "ext"), extension);
    openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
      ...["-out", `${name}.pem`, "-days", "2", "-extfile", "ext"],
    );
  }
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}
