import { expect, spyOn, test } from "bun:test";
import { nowNano } from "./times.ts";

test("stamps increase within a moment, and follow a clock that was set forward and back again", () => {
  using clock = spyOn(Date, "now");
  const start = 1_800_000_000_000;
  clock.mockReturnValue(start);
  const first = nowNano();
  expect(nowNano()).toBeGreaterThan(first);
  clock.mockReturnValue(start + 86_400_000);
  expect(nowNano()).toBe(BigInt(start + 86_400_000) * 1_000_000n);
  clock.mockReturnValue(start + 5_000);
  expect(nowNano()).toBe(BigInt(start + 5_000) * 1_000_000n);
});
