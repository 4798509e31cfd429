import { describe, expect, test } from "bun:test";
import type { ContainerHealth, HealthResult } from "../../../core/container.ts";
import { toGoDuration } from "./probe.ts";
import { type HealthRules, healthRulesOf, nextHealth, nextInterval, startingHealth } from "./state.ts";

const SECOND = 1_000_000_000;
const result = (exitCode: number, output = ""): HealthResult => ({ start: "", end: "", exitCode, output });
const starting: ContainerHealth = { status: "starting", failingStreak: 0, results: [] };
const rules = healthRulesOf({ Healthcheck: { Test: ["CMD", "true"] } }) as HealthRules;

describe("the rules of a check", () => {
  test("have Docker's defaults", () => {
    expect(rules).toEqual({
      command: ["true"],
      interval: 30_000,
      timeout: 30_000,
      startPeriod: 0,
      startInterval: 5_000,
      retries: 3,
    });
  });

  test("a command for the shell is given to the image's", () => {
    const Healthcheck = { Test: ["CMD-SHELL", "exit 0"] };
    expect(healthRulesOf({ Healthcheck })?.command).toEqual(["/bin/sh", "-c", "exit 0"]);
    expect(healthRulesOf({ Healthcheck, Shell: ["ash", "-c"] })?.command).toEqual(["ash", "-c", "exit 0"]);
  });

  test("none, NONE, an empty and an unknown one are no check", () => {
    for (const Test of [undefined, [], ["NONE"], ["CMD"], ["HTTP", "/"]])
      expect(healthRulesOf({ Healthcheck: { Test } })).toBeUndefined();
    expect(startingHealth({ Healthcheck: { Test: ["NONE"] } }, undefined)).toBeUndefined();
  });

  test("durations are nanoseconds", () => {
    const Healthcheck = { Test: ["CMD", "true"], Interval: 2 * SECOND, Timeout: SECOND / 2, Retries: 7 };
    expect(healthRulesOf({ Healthcheck })).toMatchObject({ interval: 2000, timeout: 500, retries: 7 });
  });
});

describe("results add up", () => {
  test("one success is health, and ends the streak", () => {
    expect(nextHealth({ ...starting, failingStreak: 2 }, result(0), { rules, ran: 0 })).toMatchObject({
      status: "healthy",
      failingStreak: 0,
    });
  });

  test("as many failures in a row as retries are too many, until the next success", () => {
    let health = starting;
    const seen = [1, 1, -1, 1, 0].map((code) => {
      health = nextHealth(health, result(code), { rules, ran: 0 });
      return `${health.status} ${health.failingStreak}`;
    });
    expect(seen).toEqual(["starting 1", "starting 2", "unhealthy 3", "unhealthy 4", "healthy 0"]);
  });

  test("failures in the start period do not count, unless there was a success", () => {
    const slow = { ...rules, startPeriod: 10_000, retries: 1 };
    expect(nextHealth(starting, result(1), { rules: slow, ran: 9_000 })).toMatchObject({
      status: "starting",
      failingStreak: 0,
    });
    expect(nextHealth(starting, result(1), { rules: slow, ran: 11_000 }).status).toBe("unhealthy");
    const healthy = nextHealth(starting, result(0), { rules: slow, ran: 1_000 });
    expect(nextHealth(healthy, result(1), { rules: slow, ran: 2_000 }).status).toBe("unhealthy");
  });

  test("the last five are kept", () => {
    let health = starting;
    for (const word of "abcdefg") health = nextHealth(health, result(0, word), { rules, ran: 0 });
    expect(health.results.map(({ output }) => output).join("")).toBe("cdefg");
  });
});

test("in the start period it is looked more often, until the first success", () => {
  const slow = { ...rules, startPeriod: 10_000, startInterval: 100 };
  expect(nextInterval(starting, { rules: slow, ran: 1_000 })).toBe(100);
  expect(nextInterval(starting, { rules: slow, ran: 10_000 })).toBe(30_000);
  expect(nextInterval({ ...starting, status: "healthy" }, { rules: slow, ran: 1_000 })).toBe(30_000);
});

test("durations are written as Go writes them", () => {
  expect([1, 500, 1000, 1500, 30_000, 90_000, 3_600_000].map(toGoDuration)).toEqual([
    "1ms",
    "500ms",
    "1s",
    "1.5s",
    "30s",
    "1m30s",
    "1h0m0s",
  ]);
});
