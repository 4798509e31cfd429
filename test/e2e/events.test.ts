/** `events`: what is told, in which order, filtered, replayed, and until when. */
import { expect, test } from "bun:test";
import { eventually } from "../support/cli.ts";
import { notInOracle, useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine();

interface Told {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly scope: string;
  readonly time: number;
  readonly timeNano: number;
}

/** What happened between two moments, from the replay. */
async function told(since: number, filters: Record<string, string[]> = {}): Promise<Told[]> {
  const until = Date.now() / 1000 + 0.05;
  const query = `since=${since.toFixed(9)}&until=${until.toFixed(9)}&filters=${encodeURIComponent(JSON.stringify(filters))}`;
  const { text } = await suite.engine.request("GET", `/events?${query}`);
  return text
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Told);
}

const now = async (): Promise<number> => {
  await Bun.sleep(5);
  return Date.now() / 1000;
};

withEachClient(suite, "events", (cli) => {
  test("a container's life in order", async () => {
    const since = await now();
    await cli("run", "--name", "box", "busybox", "sh", "-c", "exit 3");
    await cli.ok("rm", "box");
    const actions = (await told(since, { type: ["container"] })).map(({ Action }) => Action);
    expect(actions.filter((action) => action !== "attach")).toEqual(["create", "start", "die", "destroy"]);
  });

  test("names, image, labels and exit code are with it", async () => {
    const since = await now();
    const id = await cli.ok(
      "run",
      "-d",
      "--name",
      "box",
      "-l",
      "colour=red",
      "busybox",
      "sh",
      "-c",
      "exit 3",
    );
    await cli.ok("wait", id);
    const [died] = await told(since, { event: ["die"] });
    expect(died).toMatchObject({
      Type: "container",
      Action: "die",
      scope: "local",
      Actor: { ID: id, Attributes: { name: "box", image: "busybox", colour: "red", exitCode: "3" } },
    });
    expect(Math.floor((died?.timeNano ?? 0) / 1e9)).toBe(died?.time ?? 0);
  });

  test("stop is kill, stop, die; restart ends in start and restart", async () => {
    await cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    let since = await now();
    await cli.ok("restart", "-t", "0", "box");
    const restarted = (await told(since, { type: ["container"] })).map(({ Action }) => Action);
    expect(restarted[0]).toBe("kill");
    expect(restarted.slice(-2)).toEqual(["start", "restart"]);
    expect(restarted).toContain("die");
    since = await now();
    await cli.ok("stop", "-t", "0", "box");
    const stopped = (await told(since, { type: ["container"] })).map(({ Action }) => Action);
    expect(stopped).toContain("kill");
    expect([...stopped].slice(-2).sort()).toEqual(["die", "stop"]);
  });

  test("networks, volumes and images", async () => {
    const since = await now();
    await cli.ok("network", "create", "net");
    await cli.ok("volume", "create", "vol");
    await cli.ok("run", "--rm", "--network", "net", "-v", "vol:/v", "busybox", "true");
    await cli.ok("tag", "busybox", "other:1");
    await cli.ok("rmi", "other:1");
    await cli.ok("network", "rm", "net");
    await cli.ok("volume", "rm", "vol");
    const lines = (await told(since)).map(({ Type, Action }) => `${Type} ${Action}`);
    for (const line of [
      "network create",
      "network connect",
      "network disconnect",
      "network destroy",
      "volume create",
      "volume mount",
      "volume unmount",
      "volume destroy",
      "image tag",
      "image untag",
    ]) {
      expect(lines).toContain(line);
    }
  });

  test("exec tells its command, its start and its end", async () => {
    await cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    const since = await now();
    await cli("exec", "box", "sh", "-c", "exit 4");
    await eventually(async () => (await told(since, { event: ["exec_die"] })).length === 1);
    const all = await told(since, { container: ["box"] });
    expect(all.map(({ Action }) => Action)).toEqual([
      "exec_create: sh -c exit 4",
      "exec_start: sh -c exit 4",
      "exec_die",
    ]);
    expect(all[2]?.Actor.Attributes.exitCode).toBe("4");
  });

  test("rename tells both names; kill its signal; oom is told", async () => {
    const since = await now();
    await cli.ok("run", "-d", "--name", "box", "busybox", "sleep", "600");
    await cli.ok("rename", "box", "chest");
    await cli.ok("kill", "-s", "KILL", "chest");
    const all = await told(since, { type: ["container"] });
    expect(all.find(({ Action }) => Action === "rename")?.Actor.Attributes).toMatchObject({
      name: "chest",
      oldName: "/box",
    });
    expect(all.find(({ Action }) => Action === "kill")?.Actor.Attributes.signal).toBe("9");
  });

  test("the client follows, filters and formats", async () => {
    using client = cli.spawn(
      "events",
      "--filter",
      "event=start",
      "--format",
      "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}",
    );
    await Bun.sleep(500);
    await cli.ok("run", "--rm", "--name", "one", "busybox", "true");
    await cli.ok("run", "--rm", "--name", "two", "busybox", "true");
    await client.shows("container start two\n");
    expect(client.stdout).toBe("container start one\ncontainer start two\n");
    client.signal("SIGINT");
    await client.ended();
  });

  test("--since and --until replay and end", async () => {
    const since = await now();
    await cli.ok("create", "--name", "box", "busybox");
    const stdout = await cli.ok(
      "events",
      "--since",
      since.toFixed(3),
      "--until",
      String(Math.ceil(Date.now() / 1000) + 1),
    );
    expect(stdout).toMatch(
      /^\d{4}-\d\d-\d\dT\S+ container create [0-9a-f]{64} \(.*image=busybox, name=box\)$/m,
    );
  });
});

test("filters by label, image and scope", async () => {
  const since = await now();
  await suite.engine.call("POST", "/containers/create?name=labelled", {
    Image: "busybox",
    Labels: { pick: "me" },
  });
  await suite.engine.call("POST", "/containers/create?name=other", { Image: "busybox" });
  const names = async (filters: Record<string, string[]>) =>
    (await told(since, filters)).map(({ Actor }) => Actor.Attributes.name).sort();
  expect(await names({ label: ["pick=me"] })).toEqual(["labelled"]);
  expect(await names({ label: ["pick"] })).toEqual(["labelled"]);
  expect(await names({ image: ["busybox"], event: ["create"] })).toEqual(["labelled", "other"]);
  expect(await names({ container: ["other"] })).toEqual(["other"]);
});

notInOracle("1.52 is not its")("old names of fields are there up to 1.51", async () => {
  const since = await now();
  const { Id } = await suite.engine.call("POST", "/containers/create", { Image: "busybox" });
  const { text } = await suite.engine.request(
    "GET",
    `/v1.41/events?since=${since}&until=${Date.now() / 1000 + 0.05}`,
  );
  expect(JSON.parse(text.split("\n")[0] ?? "{}")).toMatchObject({
    status: "create",
    id: Id,
    from: "busybox",
  });
});

test("the last 256 are kept for the replay", async () => {
  const since = await now();
  for (let count = 0; count < 90; count++) {
    const name = `v${count}`;
    await suite.engine.call("POST", "/volumes/create", { Name: name });
    await suite.engine.call("POST", `/images/busybox/tag?repo=t${count}&tag=x`);
    await suite.engine.request("DELETE", `/images/t${count}:x`);
    await suite.engine.request("DELETE", `/volumes/${name}`);
  }
  expect((await told(since)).length).toBeWithin(240, 257);
});
