import { expect, test } from "bun:test";
import { type ExitFacts, restartDelay } from "./restart-policy.ts";

const exit: ExitFacts = { exitCode: 1, manuallyStopped: false, restartCount: 0, ranFor: 5, lastBackoff: 0 };

test("the wait doubles from 100 ms to a minute", () => {
  const delays: number[] = [];
  for (let lastBackoff = 0; delays.length < 12; ) {
    lastBackoff = restartDelay({ Name: "always" }, { ...exit, lastBackoff }) ?? 0;
    delays.push(lastBackoff);
  }
  expect(delays.slice(0, 4)).toEqual([100, 200, 400, 800]);
  expect(delays.slice(-2)).toEqual([60_000, 60_000]);
});

test("ten seconds of running begin anew", () => {
  expect(restartDelay({ Name: "always" }, { ...exit, lastBackoff: 6400, ranFor: 10_000 })).toBe(100);
});

test("on-failure looks at the exit code and counts", () => {
  const policy = { Name: "on-failure", MaximumRetryCount: 2 } as const;
  expect(restartDelay(policy, { ...exit, exitCode: 0 })).toBeUndefined();
  expect(restartDelay(policy, { ...exit, restartCount: 1 })).toBe(100);
  expect(restartDelay(policy, { ...exit, restartCount: 2 })).toBeUndefined();
  expect(restartDelay({ Name: "on-failure" }, { ...exit, restartCount: 99 })).toBe(100);
});

test("who was stopped by hand stays stopped, and so does who has no policy", () => {
  expect(restartDelay({ Name: "always" }, { ...exit, manuallyStopped: true })).toBeUndefined();
  expect(restartDelay({ Name: "no" }, exit)).toBeUndefined();
  expect(restartDelay(undefined, exit)).toBeUndefined();
});
