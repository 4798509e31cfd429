import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { nameAt, parseZone } from "./zones.ts";

const zones = "/usr/share/zoneinfo";

test.skipIf(!existsSync(`${zones}/Europe/Berlin`)).each([
  ["Europe/Berlin", "2026-01-15T12:00:00Z", -60, "CET"],
  ["Europe/Berlin", "2026-07-15T12:00:00Z", -120, "CEST"],
  ["Europe/Berlin", "1947-06-01T00:00:00Z", -180, "CEMT"],
  ["Europe/London", "2026-01-15T12:00:00Z", 0, "GMT"],
  ["Europe/Dublin", "2026-07-15T12:00:00Z", -60, "IST"],
  ["Asia/Kolkata", "2026-07-15T12:00:00Z", -330, "IST"],
  ["Asia/Singapore", "2026-07-15T12:00:00Z", -480, "+08"],
  ["America/New_York", "2060-07-15T12:00:00Z", 240, "EDT"],
  ["Etc/UTC", "2026-07-15T12:00:00Z", 0, "UTC"],
])("%s at %s is called by its own abbreviation", (name, time, minutesWest, expected) => {
  const zone = parseZone(readFileSync(`${zones}/${name}`));
  expect(nameAt(zone, Date.parse(time) / 1000, minutesWest)).toBe(expected);
});

test("what is no zone file is refused", () => {
  expect(() => parseZone(Buffer.from("nothing"))).toThrow("malformed time zone information");
});
