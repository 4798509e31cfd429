/** Everything that a restarted engine says which contradicts what it had acknowledged before, a line each. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { callTcp } from "../support/network-stack.ts";
import type { CrashEngine } from "./engine.ts";
import type { Fact, Ledger } from "./workload.ts";

/** How long the engine may take after a restart until everything is as it was promised. */
const SETTLE_MS = 5000;

interface State {
  Running: boolean;
  Paused: boolean;
  Pid: number;
  ExitCode: number;
  Status: string;
}

export interface Sentinel {
  readonly id: string;
  readonly pid: number;
}

export async function untrue(engine: CrashEngine, ledger: Ledger, sentinel: Sentinel): Promise<string[]> {
  const named = await containersByName(engine);
  return [
    ...contradictions("container", ledger.containers, new Set(named.keys())),
    ...contradictions("volume", ledger.volumes, await volumeNames(engine)),
    ...contradictions("network", ledger.networks, await networkNames(engine)),
    ...contradictions("image", ledger.images, await imageNames(engine)),
    ...halfMade(named, ledger),
    ...(await wrongExits(engine, ledger, named)),
    ...(await wrongStates(engine, ledger)),
    ...(await unanswered(ledger)),
    ...(await staying(engine, ledger)),
    ...(await wrongExecs(engine, ledger)),
    ...wrongContents(engine, ledger),
    ...(await disturbed(engine, sentinel)),
  ];
}

function contradictions(
  noun: string,
  facts: ReadonlyMap<string, Fact>,
  there: ReadonlySet<string>,
): string[] {
  return [...facts].flatMap(([name, fact]) => {
    if (fact === "present" && !there.has(name)) return [`${noun} ${name} was acknowledged and is gone`];
    if (fact === "absent" && there.has(name)) return [`${noun} ${name} was removed and is there`];
    return [];
  });
}

function halfMade(named: ReadonlyMap<string, string>, { states }: Ledger): string[] {
  const settled = /^(created|running|exited)$/;
  // What a policy restarts passes through `restarting`; a pause that was not acknowledged may have happened.
  const passing: Readonly<Record<string, RegExp>> = {
    always: /^restarting$/,
    fails: /^restarting$/,
    paused: /^paused$/,
    leaves: /^removing$/,
  };
  return [...named].flatMap(([name, state]) => {
    const expected =
      settled.test(state) || states.get(name) === state || passing[name.split("-")[0] ?? ""]?.test(state);
    return expected ? [] : [`container ${name} is ${state}`];
  });
}

async function wrongExits(
  engine: CrashEngine,
  { exits }: Ledger,
  named: ReadonlyMap<string, string>,
): Promise<string[]> {
  const problems: string[] = [];
  for (const [name, code] of exits) {
    if (!named.has(name)) continue;
    const ended = await eventually(async () => {
      const state = await stateOf(engine, name);
      return state.Status === "exited" ? state : undefined;
    });
    if (ended === undefined) problems.push(`container ${name} does not come to its end`);
    else if (ended.ExitCode !== code)
      problems.push(`container ${name} ended with ${ended.ExitCode}, not ${code}`);
    if (!name.startsWith("writes-") || ended?.ExitCode !== code) continue;
    const lines = (await engine.logs(name)).match(/line \d+/g)?.length ?? 0;
    if (lines !== 300) problems.push(`container ${name} wrote 300 lines, its log has ${lines}`);
  }
  return problems;
}

async function wrongStates(engine: CrashEngine, { states }: Ledger): Promise<string[]> {
  const problems: string[] = [];
  for (const [name, wanted] of states) {
    let state: State | undefined;
    await eventually(async () => {
      state = await stateOf(engine, name).catch(() => undefined);
      return state?.Status === wanted ? true : undefined;
    });
    if (state?.Status !== wanted) problems.push(`container ${name} is ${state?.Status}, not ${wanted}`);
  }
  return problems;
}

async function unanswered({ ports }: Ledger): Promise<string[]> {
  const answers = await Promise.all(
    [...ports].map(async ([name, port]) => {
      let said = "";
      await eventually(async () => {
        said = await callTcp(undefined, "127.0.0.1", port);
        return said.trim() === name ? true : undefined;
      });
      return said.trim() === name ? [] : [`port ${port} of ${name} says ${JSON.stringify(said)}`];
    }),
  );
  return answers.flat();
}

async function staying(engine: CrashEngine, { leaving }: Ledger): Promise<string[]> {
  let left: string[] = [];
  await eventually(async () => {
    const named = await containersByName(engine);
    left = [...leaving].filter((name) => named.has(name));
    return left.length === 0 ? true : undefined;
  });
  return left.map((name) => `container ${name} should have removed itself`);
}

async function wrongExecs(engine: CrashEngine, { execs }: Ledger): Promise<string[]> {
  const problems: string[] = [];
  for (const [id, code] of execs) {
    const ended = await eventually(async () => {
      const { status, text } = await engine.api.call("GET", `/exec/${id}/json`);
      if (status !== 200) return { ExitCode: text };
      const exec = JSON.parse(text) as { Running: boolean; ExitCode: number | null };
      return exec.Running ? undefined : exec;
    });
    if (ended?.ExitCode !== code)
      problems.push(`exec ${id.slice(0, 12)} ended with ${ended?.ExitCode}, not ${code}`);
  }
  return problems;
}

function wrongContents({ dataRoot }: CrashEngine, { contents }: Ledger): string[] {
  return [...contents].flatMap(([volume, text]) => {
    const file = join(dataRoot, "volumes", volume, "_data/sub/file");
    const found = readFileSync(file, "utf8").trim();
    return found === text ? [] : [`volume ${volume} has ${JSON.stringify(found)}, not ${text}`];
  });
}

/** The sentinel must not have noticed anything, and a client that attaches to it sees its lines come. */
async function disturbed(engine: CrashEngine, sentinel: Sentinel): Promise<string[]> {
  const { Running, Status, Pid } = await stateOf(engine, sentinel.id);
  if (!Running || Pid !== sentinel.pid) return [`the sentinel is ${Status}, pid ${Pid}, was ${sentinel.pid}`];
  let seen = "";
  for await (const piece of engine.api.stream(
    "POST",
    `/containers/${sentinel.id}/attach?stream=1&stdout=1`,
  )) {
    seen += piece;
    const [first, second] = (seen.match(/tick \d+\n/g) ?? []).map((line) => Number(line.slice(5)));
    if (first === undefined || second === undefined) continue;
    return second === first + 1 ? [] : [`an attached client saw tick ${first}, then ${second}`];
  }
  return [`an attached client saw only ${JSON.stringify(seen)}`];
}

async function stateOf(engine: CrashEngine, name: string): Promise<State> {
  return (await engine.api.get<{ State: State }>(`/containers/${name}/json`)).State;
}

async function containersByName({ api }: CrashEngine): Promise<Map<string, string>> {
  const listed = await api.get<{ Names: string[]; State: string }[]>("/containers/json?all=1");
  return new Map(listed.map(({ Names, State: state }) => [Names[0]?.slice(1) ?? "", state]));
}

async function volumeNames({ api }: CrashEngine): Promise<Set<string>> {
  const { Volumes } = await api.get<{ Volumes: { Name: string }[] | null }>("/volumes");
  return new Set(Volumes?.map(({ Name }) => Name));
}

async function networkNames({ api }: CrashEngine): Promise<Set<string>> {
  return new Set((await api.get<{ Name: string }[]>("/networks")).map(({ Name }) => Name));
}

async function imageNames({ api }: CrashEngine): Promise<Set<string>> {
  const images = await api.get<{ RepoTags: string[] | null }[]>("/images/json");
  return new Set(images.flatMap(({ RepoTags }) => RepoTags ?? []));
}

/** Looks until there is something, for 5 s. */
export async function eventually<T>(attempt: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const result = await attempt();
    if (result !== undefined || performance.now() > deadline) return result;
    await Bun.sleep(20);
  }
}
