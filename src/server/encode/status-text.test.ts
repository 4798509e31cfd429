import { expect, test } from "bun:test";
import { type ContainerState, ZERO_TIME } from "../../core/container.ts";
import { toHumanDuration, toStatusText } from "./status-text.ts";

test("durations are as coarse as Docker's", () => {
  const texts = [0.5, 1, 59, 60, 119, 120, 3600, 47 * 3600, 49 * 3600, 15 * 86400, 61 * 86400, 731 * 86400];
  expect(texts.map((seconds) => toHumanDuration(seconds * 1000))).toEqual([
    "Less than a second",
    "1 second",
    "59 seconds",
    "About a minute",
    "About a minute",
    "2 minutes",
    "About an hour",
    "47 hours",
    "2 days",
    "2 weeks",
    "2 months",
    "2 years",
  ]);
});

test("the status says what happened and when", () => {
  const state: ContainerState = {
    status: "exited",
    pid: 0,
    pidStartTime: 0,
    exitCode: 3,
    error: "",
    oomKilled: false,
    startedAt: "2026-01-01T00:00:00Z",
    finishedAt: "2026-01-01T00:00:10Z",
  };
  const now = Date.parse("2026-01-01T00:02:10Z");
  expect(toStatusText(state, now)).toBe("Exited (3) 2 minutes ago");
  expect(toStatusText({ ...state, status: "running" }, now)).toBe("Up 2 minutes");
  expect(toStatusText({ ...state, status: "paused" }, now)).toBe("Up 2 minutes (Paused)");
  expect(toStatusText({ ...state, status: "restarting" }, now)).toBe("Restarting (3) 2 minutes ago");
  expect(toStatusText({ ...state, status: "created", finishedAt: ZERO_TIME }, now)).toBe("Created");
});
