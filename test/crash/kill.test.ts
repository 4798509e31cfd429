/**
 * SIGKILL at random instants: while containers run, exit, are created, started, stopped, paused, restarted, removed,
 * exec'd, while images are pulled, and while the daemon itself starts. After every restart the engine must tell the
 * truth about all that it acknowledged, the sentinel must not have noticed, and nothing may be left on the host
 * without an owner.
 *
 * GANTRY_KILLS=500 bun test test/crash      more kills
 * GANTRY_SEED=7 bun test test/crash         the same delays again
 * GANTRY_JOB=exec bun test test/crash       only the jobs whose name has that word
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { openedSince, openFiles } from "../support/leaks.ts";
import { type CrashEngine, startCrashEngine } from "./engine.ts";
import { ownersOf } from "./owners.ts";
import { plantStrays } from "./planted.ts";
import { strays } from "./residue.ts";
import { eventually, type Sentinel, untrue } from "./truth.ts";
import { emptyLedger, jobs, type Ledger, UnexpectedAnswer } from "./workload.ts";

const KILLS = Number(process.env.GANTRY_KILLS ?? 50);
const SEED = Number(process.env.GANTRY_SEED ?? Date.now() % 1_000_000);
const NAMES = Object.keys(jobs).filter((name) => name.includes(process.env.GANTRY_JOB ?? ""));
/** About as long as a start takes. */
const BOOT_MS = 300;

setDefaultTimeout(15 * 60_000);

let engine: CrashEngine;
let sentinel: Sentinel;
/** Open files of a daemon that has done every job once and has only the sentinel left: what it opens for good. */
let descriptors: ReadonlyMap<string, number>;

beforeAll(async () => {
  engine = await startCrashEngine();
  const script = "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.02; done";
  const created = await engine.api.call("POST", "/containers/create?name=sentinel", {
    Image: engine.image,
    Cmd: ["sh", "-c", script],
  });
  expect(created.text).toContain("Id");
  expect(await engine.api.call("POST", "/containers/sentinel/start")).toMatchObject({ status: 204 });
  const { Id, State } = await inspectSentinel();
  sentinel = { id: Id, pid: State.Pid };
});

afterAll(async () => {
  const left = await engine?.destroy();
  if (left && left.length > 0) throw new Error(`left behind at the end:\n${left.join("\n")}`);
});

test("without a kill every job is done, and nothing is left of them", async () => {
  const ledger = emptyLedger();
  expect(await Promise.all(NAMES.map((name) => runJob(name, ledger, 1000, { mayBreak: false })))).toEqual(
    NAMES.map(() => undefined),
  );
  expect([...(await untrue(engine, ledger, sentinel)), ...(await leaks())]).toEqual([]);
  await tidy(ledger);
  descriptors = openFiles(engine.pid);
});

test("what nobody owns is found, of every kind", async () => {
  const owners = await ownersOf(engine.api);
  // It heals its firewall every few seconds, and would find the elements itself.
  process.kill(engine.pid, "SIGSTOP");
  using _running = { [Symbol.dispose]: () => process.kill(engine.pid, "SIGCONT") };
  await using planted = await plantStrays(engine);
  const found = strays(engine, owners);
  for (const wanted of planted.lines) expect(found).toContainEqual(expect.stringContaining(wanted));
  expect(found).toHaveLength(planted.lines.length);
});

test(`${KILLS} kills at random instants lose nothing and leave nothing behind (seed ${SEED})`, async () => {
  const random = sequence(SEED);
  for (let kills = 0; kills < KILLS; ) {
    const ledger = emptyLedger();
    const chosen = NAMES.filter(() => random() < 0.4);
    const delay = random() ** 2 * 1500;
    const running = chosen.map((name) => runJob(name, ledger, kills, { mayBreak: true }));
    await Bun.sleep(delay);
    await engine.kill();
    kills++;
    const wrong = (await Promise.all(running)).filter((problem) => problem !== undefined);
    const story = [`${delay.toFixed(0)} ms into ${chosen.join(", ")}`];
    while (kills < KILLS && random() < 0.3) {
      const instant = random() * BOOT_MS;
      await engine.killWhileStarting(instant);
      kills++;
      story.push(`${instant.toFixed(0)} ms into the next start`);
    }
    await engine.start();
    const problems = [...wrong, ...(await untrue(engine, ledger, sentinel)), ...(await leaks())];
    if (problems.length > 0)
      throw new Error(
        `after kill ${kills} (${story.join("; ")}):\n${problems.join("\n")}\n${engine.logTail()}`,
      );
    await tidy(ledger);
    expect(await openedSince(descriptors, engine.pid)).toEqual([]);
  }
});

test("a daemon that does all of it again and again opens no more files than one that did it once", async () => {
  for (let round = 2000; round < 2003; round++) {
    const ledger = emptyLedger();
    await Promise.all(NAMES.map((name) => runJob(name, ledger, round, { mayBreak: false })));
    await tidy(ledger);
  }
  expect(await openedSince(descriptors, engine.pid)).toEqual([]);
});

test("the sentinel ran through all of it, and its log has every line", async () => {
  const { State } = await inspectSentinel();
  expect(State).toMatchObject({ Running: true, Pid: sentinel.pid });
  const numbers =
    (await engine.logs("sentinel")).match(/tick (\d+)/g)?.map((line) => Number(line.slice(5))) ?? [];
  expect(numbers.length).toBeGreaterThan(100);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

function inspectSentinel(): Promise<{ Id: string; State: { Running: boolean; Pid: number } }> {
  return engine.api.get("/containers/sentinel/json");
}

/** What went wrong with it, if anything. */
async function runJob(
  name: string,
  ledger: Ledger,
  round: number,
  { mayBreak }: { mayBreak: boolean },
): Promise<string | undefined> {
  const { api, image, pulledImage } = engine;
  try {
    await jobs[name]?.({ api, ledger, image, pulledImage, sentinel: sentinel.id, round });
  } catch (error) {
    // The connection broke with the daemon: that is the point. An answer that was wrong is not.
    if (!mayBreak || error instanceof UnexpectedAnswer) return `${name}: ${error}`;
  }
  return undefined;
}

async function leaks(): Promise<string[]> {
  let found: string[] = [];
  await eventually(async () => {
    const owners = await ownersOf(engine.api).catch((error: unknown) => String(error));
    found = typeof owners === "string" ? [owners] : strays(engine, owners);
    return found.length === 0 ? true : undefined;
  });
  return found;
}

/** Removes this round's objects, so that rounds stay alike however many there are. */
async function tidy(ledger: Ledger): Promise<void> {
  for (const { Id } of await engine.api.get<{ Id: string }[]>("/containers/json?all=1"))
    if (Id !== sentinel.id)
      expect((await engine.api.call("DELETE", `/containers/${Id}?force=1&v=1`)).status).toBeOneOf([204, 404]);
  for (const name of ledger.images.keys()) await engine.api.call("DELETE", `/images/${name}`);
  for (const name of ledger.volumes.keys()) await engine.api.call("DELETE", `/volumes/${name}`);
  for (const name of ledger.networks.keys()) await engine.api.call("DELETE", `/networks/${name}`);
  const { Volumes } = await engine.api.get<{ Volumes: { Name: string }[] | null }>("/volumes");
  expect(Volumes ?? []).toEqual([]);
  expect(await leaks()).toEqual([]);
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
