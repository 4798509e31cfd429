import { describe, expect, test } from "bun:test";
import type { EngineEvent } from "../../core/events.ts";
import { EventBus } from "./bus.ts";

const filters = (entries: Record<string, string[]>) =>
  new Map(Object.entries(entries).map(([key, values]) => [key, new Set(values)]));

function start(bus: EventBus, name: string, attributes: Record<string, string> = {}): void {
  bus.publish({
    type: "container",
    action: "start",
    actor: { id: `id-${name}`, attributes: { name, ...attributes } },
  });
}

async function collect(
  events: AsyncIterable<EngineEvent>,
  count = Number.POSITIVE_INFINITY,
): Promise<EngineEvent[]> {
  const collected: EngineEvent[] = [];
  for await (const event of events) {
    collected.push(event);
    if (collected.length >= count) break;
  }
  return collected;
}

const names = (events: EngineEvent[]) => events.map((event) => event.actor.attributes.name);
const soon = () => BigInt(Date.now() + 60_000) * 1_000_000n;

describe("the event bus", () => {
  test("a subscriber gets what is published after it subscribed, in order", async () => {
    const bus = new EventBus();
    start(bus, "before");
    const events = bus.subscribe({ signal: new AbortController().signal });
    start(bus, "a");
    start(bus, "b");
    expect(names(await collect(events, 2))).toEqual(["a", "b"]);
    expect(bus.subscribers).toBe(0);
  });

  test("time is strictly increasing", async () => {
    const bus = new EventBus();
    for (let i = 0; i < 200; i++) start(bus, `${i}`);
    const times = (
      await collect(bus.subscribe({ since: 0n, until: soon(), signal: AbortSignal.timeout(20) }))
    ).map((event) => event.timeNano);
    expect(times.length).toBe(200);
    for (const [i, time] of times.entries()) if (i > 0) expect(time > (times[i - 1] ?? 0n)).toBe(true);
  });

  test("since replays the last 256 and goes on without a gap", async () => {
    const bus = new EventBus();
    for (let i = 0; i < 300; i++) start(bus, `${i}`);
    const events = bus.subscribe({ since: 1n, signal: new AbortController().signal });
    start(bus, "new");
    const collected = names(await collect(events, 257));
    expect(collected[0]).toBe("44");
    expect(collected.at(-1)).toBe("new");
  });

  test("until in the past ends at once, with what was kept until then", async () => {
    const bus = new EventBus();
    start(bus, "a");
    const until = BigInt(Date.now() + 1) * 1_000_000n;
    await Bun.sleep(5);
    start(bus, "late");
    expect(names(await collect(bus.subscribe({ until, signal: new AbortController().signal })))).toEqual([
      "a",
    ]);
  });

  test("until in the future ends the stream then", async () => {
    const bus = new EventBus();
    const until = BigInt(Date.now() + 30) * 1_000_000n;
    const begun = performance.now();
    expect(await collect(bus.subscribe({ until, signal: new AbortController().signal }))).toEqual([]);
    expect(performance.now() - begun).toBeGreaterThan(20);
  });

  test("an aborted reader is forgotten", async () => {
    const bus = new EventBus();
    const abort = new AbortController();
    const events = collect(bus.subscribe({ signal: abort.signal }));
    expect(bus.subscribers).toBe(1);
    abort.abort();
    expect(await events).toEqual([]);
    expect(bus.subscribers).toBe(0);
  });

  test("a reader that does not read is cut off, and the others are not", async () => {
    const bus = new EventBus();
    const slow = bus.subscribe({ signal: new AbortController().signal });
    for (let i = 0; i < 5000; i++) start(bus, `${i}`);
    const seen = names(await collect(slow));
    expect(seen.length).toBe(1024);
    expect(seen[0]).toBe("0");
  });
});

describe("event filters", () => {
  const cases: [string, Record<string, string[]>, string[]][] = [
    ["container by name", { container: ["web"] }, ["web"]],
    ["container by id prefix", { container: ["id-w"] }, ["web"]],
    ["any of several containers", { container: ["web", "db"] }, ["web", "db"]],
    ["label with value", { label: ["tier=front"] }, ["web"]],
    ["label by key", { label: ["tier"] }, ["web", "db"]],
    ["all labels", { label: ["tier", "x=y"] }, ["db"]],
    ["image without tag", { image: ["nginx"] }, ["web"]],
    ["image with tag", { image: ["nginx:1"] }, ["web"]],
    ["type", { type: ["network"] }, ["lan"]],
    ["event", { event: ["die"] }, []],
    ["keys are combined", { type: ["container"], label: ["tier=back"] }, ["db"]],
    ["scope", { scope: ["swarm"] }, []],
  ];
  for (const [title, wanted, expected] of cases) {
    test(title, async () => {
      const bus = new EventBus();
      start(bus, "web", { tier: "front", image: "nginx:1" });
      start(bus, "db", { tier: "back", x: "y", image: "localhost:5000/pg" });
      bus.publish({ type: "network", action: "create", actor: { id: "n", attributes: { name: "lan" } } });
      const events = bus.subscribe({
        since: 0n,
        until: 1n << 62n,
        filters: filters(wanted),
        signal: AbortSignal.timeout(5),
      });
      expect(names(await collect(events))).toEqual(expected);
    });
  }

  test("exec_create matches whatever was executed, and an exact action does not match a longer one", async () => {
    const bus = new EventBus();
    const publish = (action: string) =>
      bus.publish({ type: "container", action, actor: { id: "x", attributes: { name: action } } });
    publish("exec_create: sh -c true");
    publish("kill");
    const read = (event: string) =>
      collect(
        bus.subscribe({ since: 0n, filters: filters({ event: [event] }), signal: AbortSignal.timeout(5) }),
      );
    expect(names(await read("exec_create"))).toEqual(["exec_create: sh -c true"]);
    expect(names(await read("kil"))).toEqual([]);
  });
});
