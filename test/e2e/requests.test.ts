/** Requests as SDKs make them, where an answer's status or words decide what the client does next. */
import { describe, expect, test } from "bun:test";
import { notInOracle, useEngine } from "../support/suite.ts";

const suite = useEngine();
const request = (...args: Parameters<typeof suite.engine.request>) => suite.engine.request(...args);

async function create(body: object): Promise<string> {
  return (await suite.engine.call("POST", "/containers/create", { Image: "busybox", ...body })).Id;
}

async function running(body: object = {}): Promise<string> {
  const id = await create({ Cmd: ["sleep", "1000"], ...body });
  await suite.engine.call("POST", `/containers/${id}/start`);
  return id;
}

describe("create", () => {
  test("whoever refers to a container that is not there is told so, not that the image is missing", async () => {
    for (const HostConfig of [
      { VolumesFrom: ["nope"] },
      { PidMode: "container:nope" },
      { IpcMode: "container:nope" },
    ]) {
      const { status, text } = await request("POST", "/containers/create", {
        body: { Image: "busybox", HostConfig },
      });
      expect([status, text]).toEqual([400, expect.stringContaining("No such container: nope")]);
    }
  });

  test("masked and read-only paths are the usual, those asked for, or none", async () => {
    const shown = async (HostConfig: object) => {
      const { HostConfig: inspected } = await suite.engine.call(
        "GET",
        `/containers/${await create({ HostConfig })}/json`,
      );
      return [inspected.MaskedPaths, inspected.ReadonlyPaths];
    };
    expect((await shown({}))[0]).toContain("/proc/kcore");
    expect(await shown({ MaskedPaths: ["/proc/kcore"], ReadonlyPaths: ["/proc/sys"] })).toEqual([
      ["/proc/kcore"],
      ["/proc/sys"],
    ]);
    expect(await shown({ MaskedPaths: [], ReadonlyPaths: [] })).toEqual([[], []]);
    expect(await shown({ Privileged: true })).toEqual([null, null]);
    const open = await running({ HostConfig: { MaskedPaths: [], ReadonlyPaths: [] } });
    const mounts = await suite.cli("docker").ok("exec", open, "cat", "/proc/mounts");
    expect(mounts).not.toMatch(/ \/proc\/\w+ /);
  });

  test("a working directory is written without a slash at its end", async () => {
    const { Config } = await suite.engine.call(
      "GET",
      `/containers/${await create({ WorkingDir: "/tmp/./x/" })}/json`,
    );
    expect(Config.WorkingDir).toBe("/tmp/x");
  });
});

describe("a running container", () => {
  notInOracle("20.10 looks the user up at the start")(
    "exec of an unknown user is refused at once",
    async () => {
      const { status, text } = await request("POST", `/containers/${await running()}/exec`, {
        body: { Cmd: ["true"], User: "nobody-here" },
      });
      expect([status, text]).toEqual([400, expect.stringContaining("unable to find user nobody-here")]);
    },
  );

  test("a container in its network leaves its sysctls alone", async () => {
    const donor = await running({
      HostConfig: { Sysctls: { "net.ipv4.ip_unprivileged_port_start": "1024" } },
    });
    await running({ HostConfig: { NetworkMode: `container:${donor}` } });
    expect(
      await suite.cli("docker").ok("exec", donor, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"),
    ).toBe("1024");
  });

  notInOracle("20.10 words it otherwise")("a size that is none is refused in today's words", async () => {
    const id = await running({ Tty: true });
    const refused = async (query: string) =>
      (await request("POST", `/containers/${id}/resize?${query}`)).text;
    expect(await refused("h=-100&w=40")).toContain('invalid resize height \\"-100\\": value out of range');
    expect(await refused("h=40")).toContain('invalid resize width \\"\\": invalid syntax');
    expect(await refused("h=40&w=4294967296")).toContain("value out of range");
  });

  test("a limit of processes is changed and taken away while it runs", async () => {
    const id = await running({ HostConfig: { PidsLimit: 100 } });
    const limit = async (PidsLimit: number) => {
      await suite.engine.call("POST", `/containers/${id}/update`, { PidsLimit });
      const find = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; true";
      return await suite.cli("docker").ok("exec", id, "sh", "-c", find);
    };
    expect(await limit(50)).toBe("50");
    expect(await limit(0)).toBe("max");
    expect((await suite.engine.call("GET", `/containers/${id}/json`)).HostConfig.PidsLimit).toBe(0);
    await suite.engine.call("POST", `/containers/${id}/restart?t=0`);
    expect((await suite.engine.call("GET", `/containers/${id}/json`)).State.Running).toBe(true);
  });

  test("attach for nothing is let in and out", async () => {
    const { status } = await request("POST", `/containers/${await running()}/attach`);
    expect(status).toBe(200);
  });
});

test("a start with an empty object for a body is a start, with a configuration it is refused", async () => {
  const id = await create({ Cmd: ["sleep", "1000"] });
  const headers = { "Content-Type": "text/plain" };
  const body = '{"Binds":[]}';
  expect((await request("POST", `/containers/${id}/start`, { body, headers })).status).toBe(400);
  expect((await request("POST", `/containers/${id}/start`, { body: "{}", headers })).status).toBe(204);
});

notInOracle("it waits for a later start")(
  "who waits for a start that fails is not left waiting",
  async () => {
    const id = await create({ Cmd: ["/no/such/program"] });
    const waiting = request("POST", `/containers/${id}/wait?condition=next-exit`);
    await Bun.sleep(50);
    expect((await request("POST", `/containers/${id}/start`)).status).toBe(400);
    expect((await waiting).json()).toMatchObject({ StatusCode: 127 });
  },
);

notInOracle("20.10 answers 500")("what is no JSON is named in Go's words", async () => {
  const answer = async (body: string) => {
    const { status, text } = await request("POST", "/containers/create", {
      body,
      headers: { "Content-Type": "application/json" },
    });
    return `${status} ${JSON.parse(text).message}`;
  };
  expect(await answer("{invalid json")).toBe(
    "400 invalid JSON: invalid character 'i' looking for beginning of object key string",
  );
  expect(await answer('{"Image":"busybox"} trailing')).toBe("400 unexpected content after JSON");
});

notInOracle("it is newer, and knows no crun")(
  "API versions differ where Docker's do, end to end",
  async () => {
    const old = await suite.engine.call("POST", "/v1.39/containers/create", {
      Image: "busybox",
      Cmd: ["true"],
    });
    const inspect = async (version: string, id: string) =>
      await suite.engine.call("GET", `/v${version}/containers/${id}/json`);
    expect((await inspect("1.51", old.Id)).HostConfig.IpcMode).toBe("shareable");
    expect((await inspect("1.51", old.Id)).NetworkSettings).toHaveProperty("IPAddress");
    expect((await inspect("1.54", old.Id)).NetworkSettings).not.toHaveProperty("IPAddress");
    const image = await suite.engine.call("GET", "/v1.44/images/busybox/json");
    expect(image.ContainerConfig).toHaveProperty("Volumes", null);
    const [row] = await suite.engine.call("GET", "/v1.52/containers/json?all=1");
    expect(row.Health).toEqual({ Status: "none", FailingStreak: 0 });
    const bridge = await suite.engine.call("GET", "/v1.52/networks/bridge");
    expect(Object.values(bridge.Status.IPAM.Subnets)[0]).toHaveProperty("IPsInUse");
    const runc = await suite.engine.call("POST", "/containers/create", { Image: "busybox", Runtime: "runc" });
    expect((await inspect("1.54", runc.Id)).HostConfig.Runtime).toBe("runc");
  },
);

notInOracle("it has checkpoints")("a checkpoint is refused, not started over", async () => {
  const id = await create({ Cmd: ["true"] });
  const outside = await request("POST", `/containers/${id}/start?checkpoint=../outside`);
  expect([outside.status, outside.json().message]).toEqual([
    400,
    expect.stringContaining('invalid checkpoint ID "../outside"'),
  ]);
  expect((await request("POST", `/containers/${id}/start?checkpoint=a1`)).status).toBe(501);
});
