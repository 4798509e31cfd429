/** Health checks, as both clients and dockerd have them. */
import { describe, expect, test } from "bun:test";
import { useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine();
const often = ["--health-interval", "300ms", "--health-timeout", "2s"];

interface Health {
  readonly Status: string;
  readonly FailingStreak: number;
  readonly Log: {
    readonly Start: string;
    readonly End: string;
    readonly ExitCode: number;
    readonly Output: string;
  }[];
}

async function healthOf(name: string): Promise<Health | undefined> {
  return (await suite.engine.call("GET", `/containers/${name}/json`)).State.Health;
}

/** Waits, with a bound, until the container's health is so. */
async function until(name: string, wanted: (health: Health) => boolean): Promise<Health> {
  for (let attempt = 0; attempt < 150; attempt++) {
    const health = await healthOf(name);
    if (health && wanted(health)) return health;
    await Bun.sleep(100);
  }
  throw new Error(`health of ${name} is ${JSON.stringify(await healthOf(name))}`);
}

withEachClient(suite, "health", (cli) => {
  test("is starting, then healthy; ps says so, and its filter knows", async () => {
    await cli.ok(
      "run",
      "-d",
      "--name",
      "well",
      ...often,
      "--health-cmd",
      "echo fine; exit 0",
      "busybox",
      "sleep",
      "1000",
    );
    expect(await cli.ok("ps", "--format", "{{.Status}}")).toMatch(/\((health: starting|healthy)\)/);
    const { FailingStreak, Log } = await until("well", ({ Status }) => Status === "healthy");
    expect(FailingStreak).toBe(0);
    expect(Log[0]).toMatchObject({ ExitCode: 0, Output: "fine\n" });
    expect(Date.parse(Log[0]?.End ?? "")).toBeGreaterThanOrEqual(Date.parse(Log[0]?.Start ?? ""));
    expect(await cli.ok("ps", "--format", "{{.Status}}")).toMatch(/ \(healthy\)$/);
    expect(await cli.ok("ps", "-q", "--filter", "health=unhealthy")).toBe("");
    expect(await cli.ok("ps", "--format", "{{.Names}}", "--filter", "health=healthy")).toBe("well");
  });

  test("fails after its retries, and comes back", async () => {
    const check = [
      "--health-cmd",
      "test -e /tmp/ok || { echo missing >&2; exit 3; }",
      "--health-retries",
      "2",
    ];
    const since = `${Date.now() / 1000}`;
    await cli.ok("run", "-d", "--name", "ill", ...often, ...check, "busybox", "sleep", "1000");
    const ill = await until("ill", ({ Status }) => Status === "unhealthy");
    expect(ill.FailingStreak).toBeGreaterThanOrEqual(2);
    expect(ill.Log.at(-1)).toMatchObject({ ExitCode: 3, Output: "missing\n" });
    await cli.ok("exec", "ill", "touch", "/tmp/ok");
    expect((await until("ill", ({ Status }) => Status === "healthy")).FailingStreak).toBe(0);
    const end = `${Date.now() / 1000 + 1}`;
    const events = await cli.ok("events", "--since", since, "--until", end, "--filter", "container=ill");
    expect(events.match(/health_status: \w+/g)).toEqual([
      "health_status: unhealthy",
      "health_status: healthy",
    ]);
  });

  test("a check that takes too long is killed and counts as a failure", async () => {
    const check = ["--health-cmd", "echo begun; sleep 1234", "--health-retries", "1"];
    const bounds = ["--health-interval", "200ms", "--health-timeout", "500ms"];
    await cli.ok("run", "-d", "--name", "slow", ...bounds, ...check, "busybox", "sleep", "1000");
    const { Log } = await until("slow", ({ Status }) => Status === "unhealthy");
    expect(await cli.ok("exec", "slow", "sh", "-c", "ps | grep -c '[s]leep 1234' || true")).toMatch(/^[01]$/);
    expect(Log[0]).toMatchObject({ ExitCode: -1 });
    expect(Log[0]?.Output).toMatch(/^Health check exceeded timeout \(500ms\)/);
  });

  test("without a check there is none; --no-healthcheck takes the image's away", async () => {
    await cli.ok("run", "-d", "--name", "plain", "--no-healthcheck", "busybox", "sleep", "1000");
    expect(await healthOf("plain")).toBeUndefined();
    expect(await cli.ok("ps", "--format", "{{.Names}}", "--filter", "health=none")).toBe("plain");
  });

  test("output is kept up to 4096 bytes, results up to five", async () => {
    await cli.ok(
      "run",
      "-d",
      "--name",
      "loud",
      ...often,
      "--health-cmd",
      "yes | head -c 100000",
      "busybox",
      "sleep",
      "1000",
    );
    const { Log } = await until("loud", (health) => health.Log.length === 5);
    expect(Log.every(({ Output }) => Output.length === 4096 + "...".length)).toBe(true);
  });

  test("a stopped container is unhealthy, and begins anew when it is started", async () => {
    await cli.ok(
      "run",
      "-d",
      "--name",
      "again",
      ...often,
      "--health-cmd",
      "true",
      "busybox",
      "sleep",
      "1000",
    );
    await until("again", ({ Status }) => Status === "healthy");
    await cli.ok("stop", "-t", "0", "again");
    expect((await healthOf("again"))?.Status).toBe("unhealthy");
    await cli.ok("start", "again");
    await until("again", ({ Status }) => Status === "healthy");
  });
});

describe("what only this engine promises", () => {
  test("a check that cannot be run is told in its result", async () => {
    const cli = suite.cli("docker");
    await cli.ok(
      "run",
      "-d",
      "--name",
      "odd",
      ...often,
      "--health-retries",
      "1",
      "--health-cmd",
      "none",
      "busybox",
      "sleep",
      "99",
    );
    const { Log } = await until("odd", ({ Status }) => Status === "unhealthy");
    expect(Log[0]?.Output).toContain("none");
  });
});
