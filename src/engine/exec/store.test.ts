import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import type { ExecId } from "../../core/ids.ts";
import type { StateStore, Table } from "../../core/state.ts";
import { type Exec, ExecStore } from "./store.ts";

let now = 0;
let clock: ReturnType<typeof spyOn<Performance, "now">>;

beforeEach(() => {
  now = 1_000_000;
  clock = spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => {
  clock.mockRestore();
});

/** Counts commits. */
function fakeState(): { state: StateStore; rows: Map<string, unknown>; commits: () => number } {
  const rows = new Map<string, unknown>();
  let commits = 0;
  let within = false;
  const commit = <T>(work: () => T): T => {
    if (!within) commits++;
    return work();
  };
  const table: Table<unknown> = {
    get: (key) => rows.get(key),
    put: (key, value) => commit(() => void rows.set(key, value)),
    delete: (key) => commit(() => rows.delete(key)),
    entries: () => [...rows],
  };
  const state: StateStore = {
    table: <T>() => table as Table<T>,
    transaction: (work) =>
      commit(() => {
        within = true;
        try {
          return work();
        } finally {
          within = false;
        }
      }),
    [Symbol.dispose]: () => {},
  };
  return { state, rows, commits: () => commits };
}

function exec(id: string, change: Partial<Exec>): Exec {
  return {
    id: id as ExecId,
    containerId: "container",
    config: {} as Exec["config"],
    state: "created",
    task: undefined,
    pid: 0,
    exitCode: undefined,
    endedAt: undefined,
    createdAt: now,
    ...change,
  };
}

test("results that are too old go in one commit", () => {
  const { state, rows, commits } = fakeState();
  const store = new ExecStore(state);
  for (let number = 0; number < 100; number++) {
    const ended = store.put(exec(`e${number}`, { state: "ended", exitCode: 0, endedAt: now }));
    store.persist(ended);
  }
  const before = commits();
  now += 6 * 60_000;
  expect(store.get("e0")).toBeUndefined();
  expect(rows.size).toBe(0);
  expect(commits() - before).toBe(1);
});

test("an exec that nobody starts goes after an hour; one that runs stays", () => {
  const store = new ExecStore(fakeState().state);
  store.put(exec("forgotten", {}));
  store.put(exec("running", { state: "running" }));
  now += 30 * 60_000;
  expect(store.get("forgotten")?.state).toBe("created");
  now += 31 * 60_000;
  expect(store.get("forgotten")).toBeUndefined();
  expect(store.get("running")?.state).toBe("running");
});
