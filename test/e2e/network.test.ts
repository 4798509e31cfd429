/** The default bridge, user-defined bridges with DNS, published ports, host, none and shared namespaces. */
import { describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { eventually } from "../support/cli.ts";
import { hostAddress, oracle } from "../support/engine.ts";
import { freePort } from "../support/registry.ts";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox", "configured", "debian:bookworm"] });

withEachClient(suite, "network", (cli) => {
  const shell = async (script: string, ...args: string[]) =>
    await cli.ok("run", "--rm", ...args, "busybox", "sh", "-c", script);

  /** A container that answers every tcp connection to a port with a word. */
  const answering = async (word: string, port: number, ...args: string[]) => {
    const id = await cli.ok(
      "run",
      "-d",
      ...args,
      "busybox",
      "nc",
      "-ll",
      "-p",
      String(port),
      "-e",
      "echo",
      word,
    );
    await eventually(async () =>
      (await cli("exec", id, "sh", "-c", "netstat -ltn")).stdout.includes(`:${port} `),
    );
    return id;
  };
  const fromHost = async (address: string, port: number) => {
    const { stdout } = Bun.spawn(["timeout", "4", "busybox", "nc", address, String(port)], {
      stdin: "ignore",
      stderr: "ignore",
    });
    return (await new Response(stdout).text()).trim();
  };
  const fromContainer = async (address: string, port: number, ...args: string[]) =>
    (
      await cli(
        "run",
        "--rm",
        ...args,
        "busybox",
        "sh",
        "-c",
        `timeout 4 nc ${address} ${port} </dev/null; true`,
      )
    ).stdout.trim();
  const publishedPort = async (id: string, port: string) =>
    Number(
      (
        await cli.ok("inspect", "-f", `{{(index (index .NetworkSettings.Ports "${port}") 0).HostPort}}`, id)
      ).trim(),
    );

  describe("the default bridge", () => {
    test("gives an address in its subnet, a default route and a MAC", async () => {
      const [address = "", route = ""] = (await shell("hostname -i; ip route | grep ^default; true")).split(
        "\n",
      );
      const prefix = suite.engine.gateway.replace(/\.1$/, "");
      expect(address).toStartWith(`${prefix}.`);
      expect(route).toContain(`default via ${suite.engine.gateway} dev eth0`);
    });

    test("inspect, container and host agree", async () => {
      const id = await cli.ok("run", "-d", "busybox", "sleep", "60");
      const network = JSON.parse(
        await cli.ok("inspect", "-f", "{{json .NetworkSettings.Networks.bridge}}", id),
      );
      expect(network).toMatchObject({ Gateway: suite.engine.gateway, IPPrefixLen: 24 });
      expect(await cli.ok("exec", id, "cat", "/sys/class/net/eth0/address")).toBe(network.MacAddress);
      expect(await cli.ok("exec", id, "hostname", "-i")).toBe(network.IPAddress);
      const bridge = await suite.engine.call("GET", "/networks/bridge");
      expect(bridge.Containers[id]).toMatchObject({ IPv4Address: `${network.IPAddress}/24` });
    });

    test("containers reach each other and the gateway by address", async () => {
      const id = await answering("hello", 7000);
      const address = await cli.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", id);
      expect(await fromContainer(address, 7000)).toBe("hello");
      expect(
        (await cli("run", "--rm", "busybox", "ping", "-c", "1", "-W", "2", suite.engine.gateway)).code,
      ).toBe(0);
    });

    test("what goes out has the host's address", async () => {
      const seen = Promise.withResolvers<string>();
      const server = createServer((socket) => {
        seen.resolve(socket.remoteAddress ?? "");
        socket.end("ok\n");
      });
      await new Promise<void>((listening) => server.listen(0, "0.0.0.0", listening));
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      expect(await fromContainer(hostAddress(), port)).toBe("ok");
      expect(await seen.promise).toMatch(/^(::ffff:)?10\.|^\d/);
      server.close();
    });

    test("resolv.conf has servers and no loopback one, /etc/hosts the own name", async () => {
      expect(
        await shell("grep -c ^nameserver /etc/resolv.conf; grep -c 127.0.0.1 /etc/resolv.conf || true"),
      ).toMatch(/^[1-9]\n0$/);
    });

    test("--dns, --dns-search, --dns-option", async () => {
      const file = await shell(
        "cat /etc/resolv.conf",
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "example.org",
        "--dns-option",
        "ndots:3",
      );
      expect(file).toContain("nameserver 192.0.2.53");
      expect(file).toContain("search example.org");
      expect(file).toContain("options ndots:3");
    });

    test("100 addresses are given out and come back", async () => {
      const first = await shell("hostname -i");
      const ids = await Promise.all(
        Array.from({ length: 12 }, () => cli.ok("run", "-d", "busybox", "sleep", "60")),
      );
      const addresses = await Promise.all(
        ids.map((id) => cli.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", id)),
      );
      expect(new Set(addresses).size).toBe(12);
      expect(first).not.toBe("");
    });
  });

  describe("links", () => {
    test("--link tells hosts file, environment and execs of a neighbour", async () => {
      const db = await cli.ok(
        "run",
        "-d",
        "--name",
        "db",
        "--expose",
        "5432",
        "-e",
        "USER=me",
        "busybox",
        "sleep",
        "60",
      );
      const address = await cli.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", db);
      const web = await cli.ok("run", "-d", "--name", "web", "--link", "db:store", "busybox", "sleep", "60");
      expect(await cli.ok("exec", web, "cat", "/etc/hosts")).toContain(
        `${address}\tstore ${db.slice(0, 12)} db`,
      );
      const told = [
        ...["STORE_NAME=/web/store", `STORE_PORT=tcp://${address}:5432`, "STORE_PORT_5432_TCP_PORT=5432"],
        "STORE_ENV_USER=me",
      ];
      expect((await cli.ok("exec", web, "env")).split("\n")).toEqual(expect.arrayContaining(told));
      expect((await shell("env", "--link", "db:store")).split("\n")).toEqual(
        expect.arrayContaining(["STORE_PORT_5432_TCP_PROTO=tcp"]),
      );
      expect(await cli.ok("inspect", "-f", "{{.HostConfig.Links}}", web)).toBe("[/db:/web/store]");
      expect(await cli.ok("inspect", "-f", "{{.Name}}", "web/store")).toBe("/db");
      expect(await cli.ok("ps", "--filter", "name=^/db$", "--format", "{{.Names}}", "--no-trunc")).toContain(
        "web/store",
      );
      await cli.ok("rename", "db", "base");
      expect(await cli.ok("inspect", "-f", "{{.HostConfig.Links}}", web)).toBe("[/base:/web/store]");
      await cli.ok("rm", "--link", "web/store");
      expect(await cli.ok("inspect", "-f", "{{.HostConfig.Links}}", web)).toBe("[]");
      expect(await cli.ok("exec", web, "cat", "/etc/hosts")).not.toContain("store");
      await cli.ok("rename", "base", "db");
      const { stderr } = await cli("run", "--rm", "--link", "nobody:x", "busybox", "true");
      expect(stderr).toMatch(/could not get container for nobody: No such container: nobody/);
    });
  });

  describe("published ports", () => {
    test("tcp: from the host by loopback, by its address, and from another container", async () => {
      const port = await freePort();
      await answering("hello", 7000, "-p", `${port}:7000`);
      expect(await fromHost("127.0.0.1", port)).toBe("hello");
      expect(await fromHost(hostAddress(), port)).toBe("hello");
      expect(await fromContainer(hostAddress(), port)).toBe("hello");
      expect(await fromContainer(suite.engine.gateway, port)).toBe("hello");
    });

    test("a container reaches its own published port", async () => {
      const port = await freePort();
      const id = await answering("hello", 7000, "-p", `${port}:7000`);
      expect(
        (
          await cli("exec", id, "sh", "-c", `timeout 4 nc ${hostAddress()} ${port} </dev/null; true`)
        ).stdout.trim(),
      ).toBe("hello");
    });

    test("on 127.0.0.1 only, it is not reachable by the host's address", async () => {
      const port = await freePort();
      await answering("hello", 7000, "-p", `127.0.0.1:${port}:7000`);
      expect(await fromHost("127.0.0.1", port)).toBe("hello");
      expect(await fromHost(hostAddress(), port)).toBe("");
    });

    test("udp", async () => {
      const port = await freePort();
      const echo = `use IO::Socket::INET; $| = 1; my $s = IO::Socket::INET->new(LocalPort => 7000, Proto => "udp");
        print "ready\\n"; while ($s->recv(my $m, 1500)) { $s->send($m) }`;
      const id = await cli.ok("run", "-d", "-p", `${port}:7000/udp`, "debian:bookworm", "perl", "-e", echo);
      await eventually(async () => (await cli.ok("logs", id)) === "ready");
      for (const address of ["127.0.0.1", hostAddress()]) {
        const reply = Promise.withResolvers<string>();
        const socket = createSocket("udp4").on("message", (bytes) => reply.resolve(bytes.toString()));
        const asking = setInterval(() => socket.send("ping\n", port, address), 200);
        expect(await Promise.race([reply.promise, Bun.sleep(5_000).then(() => "no answer")])).toBe("ping\n");
        clearInterval(asking);
        socket.close();
      }
    });

    test("without a host port a free one is chosen; -P publishes all that is exposed", async () => {
      const id = await cli.ok("run", "-d", "-P", "--entrypoint", "sleep", "configured", "60");
      const ports = (await suite.engine.call("GET", `/containers/${id}/json`)).NetworkSettings.Ports;
      expect(Object.keys(ports).sort()).toEqual(["53/udp", "80/tcp"]);
      expect(Number(ports["80/tcp"][0].HostPort)).toBeGreaterThan(1023);
      expect(await cli.ok("ps", "--format", "{{.Ports}}")).toMatch(
        /0\.0\.0\.0:\d+->53\/udp, .*0\.0\.0\.0:\d+->80\/tcp/,
      );
    });

    test("a range", async () => {
      const port = await freePort();
      const id = await cli.ok("run", "-d", "-p", `${port}-${port + 2}:7000-7002`, "busybox", "sleep", "60");
      expect(await publishedPort(id, "7002/tcp")).toBe(port + 2);
    });

    test("a port that is taken is an error that names it, and frees what was made", async () => {
      const port = await freePort();
      await cli.ok("run", "-d", "-p", `${port}:80`, "busybox", "sleep", "60");
      const { code, stderr } = await cli(
        "run",
        "-d",
        "--name",
        "second",
        "-p",
        `${port}:80`,
        "busybox",
        "sleep",
        "60",
      );
      expect(stderr).toContain("port is already allocated");
      expect(stderr).toContain(String(port));
      expect(code).toBe(125);
      expect(await cli.ok("inspect", "-f", "{{.State.Status}}", "second")).toBe("created");
    });

    test("a port that another program listens on is an error too", async () => {
      const server = createServer();
      await new Promise<void>((listening) => server.listen(0, "0.0.0.0", listening));
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      const { code, stderr } = await cli("run", "--rm", "-p", `${port}:80`, "busybox", "true");
      expect(stderr).toMatch(/address already in use|already allocated/);
      expect(code).toBe(125);
      server.close();
    });

    test("is free again when the container ends", async () => {
      const port = await freePort();
      for (const word of ["one", "two"]) {
        const id = await answering(word, 7000, "-p", `${port}:7000`);
        expect(await fromHost("127.0.0.1", port)).toBe(word);
        await cli.ok("rm", "-f", id);
      }
    });

    test("100 KB come through whole, in both directions", async () => {
      const port = await freePort();
      await cli.ok("run", "-d", "-p", `${port}:7000`, "busybox", "nc", "-ll", "-p", "7000", "-e", "cat");
      const data = "x".repeat(99_999);
      await eventually(async () => {
        const client = Bun.spawn(
          ["sh", "-c", `printf %s ${data} | timeout 5 busybox nc -w 2 127.0.0.1 ${port} | wc -c`],
          { stderr: "ignore" },
        );
        return (await new Response(client.stdout).text()).trim() === "99999";
      });
    });
  });

  describe("user-defined bridges", () => {
    test("names resolve: container name, alias, short id, own host name", async () => {
      await cli.ok("network", "create", "netn");
      const id = await answering(
        "hello",
        7000,
        "--network",
        "netn",
        "--name",
        "server",
        "--network-alias",
        "db",
      );
      for (const name of ["server", "db", id.slice(0, 12)])
        expect(await fromContainer(name, 7000, "--network", "netn")).toBe("hello");
      expect(await shell("cat /etc/resolv.conf", "--network", "netn")).toContain("nameserver 127.0.0.11");
    });

    test("names of others do not resolve from outside", async () => {
      await cli.ok("network", "create", "netn");
      await cli.ok("network", "create", "netm");
      await cli.ok("run", "-d", "--network", "netn", "--name", "hidden", "busybox", "sleep", "60");
      expect((await cli("run", "--rm", "--network", "netm", "busybox", "nslookup", "hidden")).code).not.toBe(
        0,
      );
      expect(
        (await cli("run", "--rm", "--network", "netn", "busybox", "nslookup", "hidden")).stdout,
      ).toContain("Name:\thidden");
    });

    test("reverse lookup gives name.network", async () => {
      await cli.ok("network", "create", "netn");
      const id = await cli.ok("run", "-d", "--network", "netn", "--name", "server", "busybox", "sleep", "60");
      const address = await cli.ok("inspect", "-f", "{{.NetworkSettings.Networks.netn.IPAddress}}", id);
      expect(
        (await cli("run", "--rm", "--network", "netn", "busybox", "nslookup", address)).stdout,
      ).toContain("server.netn");
    });

    test("one alias of two containers gives both addresses", async () => {
      await cli.ok("network", "create", "netn");
      for (const name of ["aa", "bb"])
        await cli.ok(
          "run",
          "-d",
          "--network",
          "netn",
          "--name",
          name,
          "--network-alias",
          "both",
          "busybox",
          "sleep",
          "60",
        );
      const { stdout } = await cli("run", "--rm", "--network", "netn", "busybox", "nslookup", "both");
      expect(stdout.match(/^Address.*: 10\./gm)?.length).toBeGreaterThanOrEqual(2);
    });

    test("networks are apart from each other", async () => {
      await cli.ok("network", "create", "netn");
      await cli.ok("network", "create", "netm");
      const id = await answering("hello", 7000, "--network", "netn");
      const address = await cli.ok("inspect", "-f", "{{.NetworkSettings.Networks.netn.IPAddress}}", id);
      expect(await fromContainer(address, 7000, "--network", "netn")).toBe("hello");
      expect(await fromContainer(address, 7000, "--network", "netm")).toBe("");
      expect(await fromContainer(address, 7000)).toBe("");
    });

    test("a container that was disconnected from its network stays so over a restart", async () => {
      await cli.ok("network", "create", "netn");
      const id = await cli.ok("run", "-d", "--network", "netn", "busybox", "sleep", "60");
      const networks = async () =>
        await cli.ok(
          "inspect",
          "-f",
          "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
          id,
        );
      await suite.engine.call("POST", "/networks/netn/disconnect", { Container: id });
      await suite.engine.call("POST", "/networks/bridge/connect", { Container: id });
      await cli.ok("restart", "-t", "0", id);
      expect((await networks()).trim()).toBe("bridge");
      expect(await cli.ok("exec", id, "ls", "/sys/class/net")).not.toContain("eth1");
    });

    test("a MAC address that was asked for is in the configuration, one that was given is not", async () => {
      const mac = "02:00:00:00:00:09";
      const macOf = async (...args: string[]) =>
        JSON.parse(await cli.ok("inspect", await cli.ok("create", ...args, "busybox")))[0].Config.MacAddress;
      expect(await macOf("--mac-address", mac)).toBe(mac);
      expect(await macOf()).toBeFalsy();
      const { Warnings } = await suite.engine.call("POST", "/v1.51/containers/create", {
        ...{ Image: "busybox", MacAddress: mac, HostConfig: { NetworkMode: "host" } },
      });
      expect(Warnings).toEqual([
        expect.stringContaining("container-wide MacAddress field is now deprecated"),
      ]);
    });

    test("a container with IPv6 switched off has no hosts of it", async () => {
      const hosts = await shell("cat /etc/hosts", "--sysctl", "net.ipv6.conf.all.disable_ipv6=1");
      expect(hosts).toStartWith("127.0.0.1\tlocalhost");
      expect(hosts).not.toContain("::");
    });

    test("sysctls of an endpoint's interface", async () => {
      const sysctls = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
      const network = `name=bridge,driver-opt=${sysctls}`;
      expect(await shell("cat /proc/sys/net/ipv4/conf/eth0/log_martians", "--network", network)).toBe("1");
    });

    test("--config-only, --config-from, and a pattern to list by", async () => {
      await cli.ok("network", "create", "--config-only", "--label", "a=1", "netconf");
      await cli.ok("network", "create", "--config-from", "netconf", "netn");
      expect(await cli.ok("network", "inspect", "-f", "{{.ConfigFrom.Network}} {{.Labels.a}}", "netn")).toBe(
        "netconf 1",
      );
      expect(await cli.ok("network", "ls", "-f", "name=^netn$", "--format", "{{.Name}}")).toBe("netn");
      expect((await cli("network", "rm", "netconf")).stderr).toContain("is in use");
      await cli.ok("network", "rm", "netn");
      await cli.ok("network", "rm", "netconf");
    });

    test("only the networks that a request names are connected, whatever the mode is", async () => {
      await cli.ok("network", "create", "netn");
      const { Id } = (await suite.engine.call("POST", "/containers/create", {
        ...{ Image: "busybox", Cmd: ["sleep", "60"] },
        NetworkingConfig: { EndpointsConfig: { netn: {} } },
      })) as { Id: string };
      await cli.ok("start", Id);
      const shown = await cli.ok("inspect", "-f", "{{json .NetworkSettings.Networks}}", Id);
      expect(Object.keys(JSON.parse(shown))).toEqual(["netn"]);
    });

    test("a connection that comes while the container starts is there, in the record and in the container", async () => {
      await cli.ok("network", "create", "netn");
      const id = await cli.ok("create", "busybox", "sleep", "60");
      await Promise.all([
        suite.engine.call("POST", `/containers/${id}/start`),
        suite.engine.call("POST", "/networks/netn/connect", { Container: id }),
      ]);
      const shown = JSON.parse(await cli.ok("inspect", "-f", "{{json .NetworkSettings.Networks}}", id));
      expect(shown.netn.IPAddress).not.toBe("");
      expect(await cli.ok("exec", id, "ip", "-4", "addr")).toContain(`inet ${shown.netn.IPAddress}/`);
    });

    test("connect and disconnect a running container", async () => {
      await cli.ok("network", "create", "netn");
      const id = await answering("hello", 7000, "--name", "server");
      await suite.engine.call("POST", "/networks/netn/connect", {
        Container: id,
        EndpointConfig: { Aliases: ["late"] },
      });
      expect(await fromContainer("late", 7000, "--network", "netn")).toBe("hello");
      expect(await cli.ok("exec", id, "ls", "/sys/class/net")).toContain("eth1");
      await suite.engine.call("POST", "/networks/netn/disconnect", { Container: id });
      expect(await cli.ok("exec", id, "ls", "/sys/class/net")).not.toContain("eth1");
      expect(await fromContainer("server", 7000, "--network", "netn")).toBe("");
    });

    test("--subnet, --gateway, --ip", async () => {
      const base = suite.engine.gateway.split(".").slice(0, 2).join(".");
      await cli.ok("network", "create", "--subnet", `${base}.77.0/24`, "--gateway", `${base}.77.9`, "netn");
      const found = await shell(
        "hostname -i; ip route | grep ^default; true",
        "--network",
        "netn",
        "--ip",
        `${base}.77.42`,
      );
      expect(found).toContain(`${base}.77.42\ndefault via ${base}.77.9 dev eth0`);
      const { code, stderr } = await cli(
        "run",
        "--rm",
        "--network",
        "netn",
        "--ip",
        "192.0.2.9",
        "busybox",
        "true",
      );
      expect(stderr).toMatch(
        /no configured subnet.* contain(s)? (the )?IP address|Address not within|invalid address/i,
      );
      expect(code).toBe(125);
    });

    test("overlapping subnets are refused", async () => {
      const base = suite.engine.gateway.split(".").slice(0, 2).join(".");
      await cli.ok("network", "create", "--subnet", `${base}.78.0/24`, "netn");
      const { code, stderr } = await cli(
        "network",
        "create",
        "--subnet",
        `${base}.78.128/25`.replace("78.128", "78.128"),
        "netm",
      );
      expect(stderr).toMatch(/overlaps with other one on this address space|invalid/i);
      expect(code).toBe(1);
    });

    test("--internal has no way out", async () => {
      await cli.ok("network", "create", "--internal", "netn");
      const id = await answering("hello", 7000, "--network", "netn", "--name", "server");
      expect(id).not.toBe("");
      expect(await fromContainer("server", 7000, "--network", "netn")).toBe("hello");
      if (!oracle) expect(await shell("ip route | grep ^default; true", "--network", "netn")).toBe("");
    });

    test("ls, inspect, rm", async () => {
      const id = await cli.ok("network", "create", "--label", "a=1", "netn");
      expect(id).toMatch(/^[0-9a-f]{64}$/);
      expect(await cli.ok("network", "ls")).toMatch(/^NETWORK ID +NAME +DRIVER +SCOPE\n/);
      expect((await cli.ok("network", "ls", "--format", "{{.Name}} {{.Driver}}")).split("\n").sort()).toEqual(
        ["bridge bridge", "host host", "netn bridge", "none null"],
      );
      expect(await cli.ok("network", "ls", "-q", "--no-trunc", "-f", "label=a=1")).toBe(id);
      const [found] = JSON.parse(await cli.ok("network", "inspect", "netn"));
      expect(found).toMatchObject({
        Name: "netn",
        Id: id,
        Driver: "bridge",
        Scope: "local",
        Internal: false,
        Labels: { a: "1" },
        Containers: {},
      });
      expect(found.IPAM.Config[0].Subnet).toMatch(/^10\.\d+\.\d+\.0\/24$/);
      await cli.ok("run", "-d", "--name", "user", "--network", "netn", "busybox", "sleep", "60");
      const used = await cli("network", "rm", "netn");
      expect(used.stderr).toContain("has active endpoints");
      expect(used.code).toBe(1);
      await cli.ok("rm", "-f", "user");
      expect(await cli.ok("network", "rm", "netn")).toBe("netn");
      expect((await cli("network", "rm", "netn")).stderr).toContain("network netn not found");
      expect((await cli("network", "rm", "bridge")).stderr).toContain(
        "bridge is a pre-defined network and cannot be removed",
      );
    });

    test("one name is one network", async () => {
      await cli.ok("network", "create", "netn");
      const { code, stderr } = await cli("network", "create", "netn");
      expect(stderr).toContain("network with name netn already exists");
      expect(code).toBe(1);
    });
  });

  describe("other modes", () => {
    test("none has loopback only", async () => {
      expect(await shell("ls /sys/class/net; ip route | wc -l", "--network", "none")).toBe("lo\n0");
    });

    test("host has the host's links and host name", async () => {
      const found = (await shell("hostname; ls /sys/class/net", "--network", "host")).split("\n");
      expect(found).toEqual(expect.arrayContaining([hostname(), "lo", suite.engine.bridge]));
    });

    test("container: shares links, addresses, hosts file", async () => {
      const id = await answering("hello", 7000, "--name", "server", "-h", "given-name");
      expect(await fromContainer("127.0.0.1", 7000, "--network", "container:server")).toBe("hello");
      expect(await shell("hostname; hostname -i", "--network", `container:${id}`)).toBe(
        `given-name\n${await cli.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", id)}`,
      );
      await cli.ok("stop", "-t", "0", id);
      const { code, stderr } = await cli("run", "--rm", "--network", `container:${id}`, "busybox", "true");
      expect(stderr).toMatch(/cannot join network (namespace )?of a non running container/);
      expect(code).toBe(125);
    });

    test("container: excludes ports and host name", async () => {
      await cli.ok("run", "-d", "--name", "server", "busybox", "sleep", "60");
      for (const option of [
        ["-p", "80:80"],
        ["-h", "x"],
      ]) {
        const { code, stderr } = await cli(
          "run",
          "--rm",
          "--network",
          "container:server",
          ...option,
          "busybox",
          "true",
        );
        expect(stderr).toMatch(/conflicting options/i);
        expect(code).toBe(125);
      }
    });
  });

  notInOracle("20.10 answers NXDOMAIN from upstream at its own pace")(
    "an unknown name fails quickly",
    async () => {
      await cli.ok("network", "create", "netn");
      const began = Date.now();
      expect(
        (await cli("run", "--rm", "--network", "netn", "busybox", "nslookup", "no-such-name-here.invalid"))
          .code,
      ).not.toBe(0);
      expect(Date.now() - began).toBeLessThan(15_000);
    },
  );
});
