import { describe, expect, test } from "bun:test";
import { alignColumns, ellipsis, listLayout } from "../terminal/table.ts";
import { bytesSize, formatDuration, humanDuration, humanSize, parseBytes, parseDuration } from "./units.ts";

describe("units", () => {
  test.each([
    [0, "0B"],
    [999, "999B"],
    [1000, "1kB"],
    [1_240_000, "1.24MB"],
    [2_976_000, "2.976MB"],
    [123_456_789_000, "123.5GB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(humanSize(bytes)).toBe(text);
  });

  test("three digits, and binary units", () => {
    expect(humanSize(2_976_000, 3)).toBe("2.98MB");
    expect(humanSize(999_900, 3)).toBe("1e+03kB");
    expect(bytesSize(16_787_000_000)).toBe("15.63GiB");
  });

  test.each([
    [0.4, "Less than a second"],
    [1, "1 second"],
    [59.9, "59 seconds"],
    [60, "About a minute"],
    [150, "2 minutes"],
    [3600, "About an hour"],
    [46 * 3600, "46 hours"],
    [13 * 86400, "13 days"],
    [20 * 86400, "2 weeks"],
    [100 * 86400, "3 months"],
    [800 * 86400, "2 years"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(humanDuration(seconds)).toBe(text);
  });

  test.each([
    ["512m", 536870912],
    ["1.5GiB", 1610612736],
    ["10kb", 10240],
    ["64B", 64],
    ["7", 7],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each([
    ["x", "invalid size: 'x'"],
    ["512q", "invalid suffix: 'q'"],
    ["5ki", "invalid suffix: 'ki'"],
  ])("%s is no size", (text, message) => {
    expect(() => parseBytes(text)).toThrow(message);
  });

  test("durations are read and written as Go's", () => {
    expect(parseDuration("1m30s")).toBe(90e9);
    expect(parseDuration("1.5h")).toBe(5400e9);
    expect(parseDuration("-100ms")).toBe(-1e8);
    expect(formatDuration(90e9)).toBe("1m30s");
    expect(formatDuration(1.5e9)).toBe("1.5s");
    expect(() => parseDuration("5")).toThrow('time: missing unit in duration "5"');
    expect(() => parseDuration("5x")).toThrow('time: unknown unit "x" in duration "5x"');
    expect(() => parseDuration("x")).toThrow('time: invalid duration "x"');
  });
});

describe("tables", () => {
  test("a column is as wide as its widest cell and three more, at least ten", () => {
    expect(alignColumns("ID\tNAME\nabcdefghijkl\tx\n", listLayout)).toBe(
      "ID             NAME\nabcdefghijkl   x\n",
    );
    expect(alignColumns("A\tB\tC\n1\t2\t3\n", listLayout)).toBe(
      "A         B         C\n1         2         3\n",
    );
  });

  test("long texts end in an ellipsis", () => {
    expect(ellipsis("sh -c 'echo one; echo two'", 20)).toBe("sh -c 'echo one; ec…");
    expect(ellipsis("short", 20)).toBe("short");
    expect(ellipsis("日本語日本語", 7)).toBe("日本語…");
  });
});
