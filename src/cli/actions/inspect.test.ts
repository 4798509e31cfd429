import { expect, test } from "bun:test";
import type { Cli } from "../command.ts";
import { inspectObjects } from "./inspect.ts";

async function inspect(format: string, ...objects: readonly object[]): Promise<string> {
  const written: string[] = [];
  const cli = { stdout: { write: (text: string) => written.push(text) } } as unknown as Cli;
  const fetch = async (at: string) => ({
    type: "container.InspectResponse" as const,
    json: JSON.stringify(objects[Number(at)]),
  });
  await inspectObjects(cli, [...objects.keys()].map(String), format, fetch);
  return written.join("");
}

test("a template that does not fit the type runs on what the engine sent", async () => {
  expect(await inspect("{{.Id}} {{.New}} {{.Big}}", { Id: "a", New: "x", Big: 12 })).toBe("a x 12\n");
});

test("once a template ran on raw JSON, keys must be there for every further object", async () => {
  const labelled = { Id: "a", Config: { Labels: { z: "1" } } };
  const bare = { Id: "b", Config: { Labels: {} } };
  expect(await inspect("{{.Config.Labels.z}}", labelled, bare)).toBe("1\n<no value>\n");
  await expect(inspect("{{.Id}} {{.Config.Labels.z}}", labelled, bare)).rejects.toThrow(
    'executing "" at <.Config.Labels.z>: map has no entry for key "z"',
  );
});
