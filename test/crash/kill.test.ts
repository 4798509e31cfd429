/**
 * SIGKILL at random instants: while containers run, exit, are created, started, stopped, removed, exec'd and while
 * images are pulled. After every restart the engine must tell the truth about all that it acknowledged, the sentinel
 * must not have noticed, and nothing may be left on the host without an owner.
 *
 * GANTRY_KILLS=500 bun test test/crash      more kills
 * GANTRY_SEED=7 bun test test/crash         the same delays again
 * GANTRY_JOB=exec bun test test/crash       only the jobs whose name has that word
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { type CrashEngine, startCrashEngine } from "./engine.ts";
import { strays } from "./residue.ts";
import { jobs, type Ledger, UnexpectedAnswer } from "./workload.ts";

const KILLS = Number(process.env.GANTRY_KILLS ?? 50);
const SEED = Number(process.env.GANTRY_SEED ?? Date.now() % 1_000_000);
/** How long the engine may take after a restart until the host is clean: what lies behind a lazy unmount or a dying namespace. */
const SETTLE_MS = 5000;

setDefaultTimeout(15 * 60_000);

let engine: CrashEngine;
let sentinel: { id: string; pid: number };
const ledger: Ledger = {
  containers: new Map(),
  exits: new Map(),
  volumes: new Map(),
  networks: new Map(),
  execs: new Map(),
};

beforeAll(async () => {
  engine = await startCrashEngine();
  const script = "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.02; done";
  const created = await engine.api.call("POST", "/containers/create?name=sentinel", {
    Image: engine.image,
    Cmd: ["sh", "-c", script],
  });
  expect(created.text).toContain("Id");
  expect(await engine.api.call("POST", "/containers/sentinel/start")).toMatchObject({ status: 204 });
  const { Id, State } = await engine.api.get<Inspected>("/containers/sentinel/json");
  sentinel = { id: Id, pid: State.Pid };
});

afterAll(async () => {
  const left = await engine?.destroy();
  if (left && left.length > 0) throw new Error(`left behind at the end:\n${left.join("\n")}`);
});

test(`${KILLS} kills at random instants lose nothing and leave nothing behind (seed ${SEED})`, async () => {
  const random = sequence(SEED);
  const names = Object.keys(jobs).filter((name) => name.includes(process.env.GANTRY_JOB ?? ""));
  for (let round = 1; round <= KILLS; round++) {
    const chosen = names.filter(() => random() < 0.6);
    const delay = random() ** 2 * 1500;
    const running = chosen.map((name) => runJob(name, round));
    await Bun.sleep(delay);
    await engine.kill();
    const wrong = (await Promise.all(running)).filter((problem) => problem !== undefined);
    await engine.start();
    const problems = [...wrong, ...(await untrue()), ...(await leaks())];
    if (problems.length > 0)
      throw new Error(
        `after kill ${round} (${delay.toFixed(0)} ms into ${chosen.join(", ")}):\n${problems.join("\n")}\n${engine.logTail()}`,
      );
    await tidy();
  }
});

test("the sentinel ran through all of it, and its log has every line", async () => {
  const { State } = await engine.api.get<Inspected>("/containers/sentinel/json");
  expect(State).toMatchObject({ Running: true, Pid: sentinel.pid });
  const numbers =
    (await engine.logs("sentinel")).match(/tick (\d+)/g)?.map((line) => Number(line.slice(5))) ?? [];
  expect(numbers.length).toBeGreaterThan(100);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

interface Inspected {
  Id: string;
  State: { Running: boolean; Pid: number; ExitCode: number; Status: string; FinishedAt: string };
}

async function runJob(name: string, round: number): Promise<string | undefined> {
  const job = jobs[name];
  if (!job) throw new Error(name);
  try {
    await job({
      api: engine.api,
      ledger,
      image: engine.image,
      pulledImage: engine.pulledImage,
      sentinel: sentinel.id,
      round,
    });
  } catch (error) {
    // The connection broke with the daemon: that is the point. An answer that was wrong is not.
    if (error instanceof UnexpectedAnswer) return `${name}: ${error.message}`;
  }
  return undefined;
}

/** Everything that the engine now says which contradicts what it had acknowledged. */
async function untrue(): Promise<string[]> {
  const problems: string[] = [];
  const listed = new Map(
    (await engine.api.get<{ Id: string; Names: string[]; State: string }[]>("/containers/json?all=1")).map(
      (one) => [one.Names[0]?.slice(1) ?? "", one],
    ),
  );
  for (const [name, fact] of ledger.containers) {
    const there = listed.has(name);
    if (fact === "present" && !there) problems.push(`container ${name} was acknowledged and is gone`);
    if (fact === "absent" && there) problems.push(`container ${name} was removed and is there`);
  }
  for (const [name, { State }] of listed)
    if (!["created", "running", "exited"].includes(State)) problems.push(`container ${name} is ${State}`);
  for (const [name, code] of ledger.exits) {
    if (!listed.has(name)) continue;
    const ended = await eventually(async () => {
      const { State } = await engine.api.get<Inspected>(`/containers/${name}/json`);
      return State.Running ? undefined : State;
    });
    if (ended === undefined) problems.push(`container ${name} runs on for ever`);
    else if (ended.ExitCode !== code)
      problems.push(`container ${name} (${ended.Status}) ended with ${ended.ExitCode}, not ${code}`);
    if (name.startsWith("writes-") && ended?.ExitCode === code) {
      const lines = (await engine.logs(name)).match(/line \d+/g)?.length ?? 0;
      if (lines !== 300) problems.push(`container ${name} wrote 300 lines, its log has ${lines}`);
    }
  }
  for (const [id, code] of ledger.execs) {
    const ended = await eventually(async () => {
      const { status, text } = await engine.api.call("GET", `/exec/${id}/json`);
      if (status !== 200) return { ExitCode: text };
      const exec = JSON.parse(text) as { Running: boolean; ExitCode: number | null };
      return exec.Running ? undefined : exec;
    });
    if (ended?.ExitCode !== code)
      problems.push(`exec ${id.slice(0, 12)} ended with ${ended?.ExitCode}, not ${code}`);
  }
  const volumes = new Set(
    (await engine.api.get<{ Volumes: { Name: string }[] | null }>("/volumes")).Volumes?.map(
      (one) => one.Name,
    ),
  );
  for (const [name, fact] of ledger.volumes)
    if (fact === "present" && !volumes.has(name)) problems.push(`volume ${name} is gone`);
  const networks = new Set((await engine.api.get<{ Name: string }[]>("/networks")).map((one) => one.Name));
  for (const [name, fact] of ledger.networks) {
    if (fact === "present" && !networks.has(name)) problems.push(`network ${name} is gone`);
    if (fact === "absent" && networks.has(name)) problems.push(`network ${name} was removed and is there`);
  }
  const { State } = await engine.api.get<Inspected>("/containers/sentinel/json");
  if (!State.Running || State.Pid !== sentinel.pid)
    problems.push(`the sentinel is ${State.Status}, pid ${State.Pid}, was ${sentinel.pid}`);
  return problems;
}

async function leaks(): Promise<string[]> {
  let found: string[] = [];
  await eventually(async () => {
    const listed = await engine.api.get<{ Id: string; State: string }[]>("/containers/json?all=1");
    const all = new Set(listed.map((one) => one.Id));
    const running = new Set(listed.filter((one) => one.State === "running").map((one) => one.Id));
    found = strays(engine, { all, running });
    return found.length === 0 ? true : undefined;
  });
  return found;
}

/** Removes this round's objects, so that rounds stay alike however many there are. */
async function tidy(): Promise<void> {
  for (const { Id } of await engine.api.get<{ Id: string }[]>("/containers/json?all=1"))
    if (Id !== sentinel.id)
      expect((await engine.api.call("DELETE", `/containers/${Id}?force=1&v=1`)).status).toBe(204);
  for (const name of ledger.volumes.keys()) await engine.api.call("DELETE", `/volumes/${name}`);
  for (const name of ledger.networks.keys()) await engine.api.call("DELETE", `/networks/${name}`);
  for (const facts of [ledger.containers, ledger.exits, ledger.volumes, ledger.networks, ledger.execs])
    facts.clear();
  const after = await leaks();
  expect(after).toEqual([]);
}

async function eventually<T>(attempt: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const result = await attempt();
    if (result !== undefined || performance.now() > deadline) return result;
    await Bun.sleep(20);
  }
}

/** mulberry32. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
