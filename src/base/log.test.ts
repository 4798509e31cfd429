import { expect, test } from "bun:test";
import { join } from "node:path";

/** What a program that calls `log` with these writes to its standard error, as lines. */
async function logged(message: string, fields: Record<string, unknown>): Promise<string[]> {
  const call = `log("info", ${JSON.stringify(message)}, ${JSON.stringify(fields)})`;
  const script = `import { log } from ${JSON.stringify(join(import.meta.dir, "log.ts"))}; ${call};`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "ignore", "pipe"] });
  return (await child.stderr.text()).trimEnd().split("\n");
}

test("a record is one line, whatever its message and its fields have in them", async () => {
  const forged = 'box"\ntime=2026-01-01T00:00:00Z level=error msg="forged"';
  const [line = "", ...more] = await logged(forged, {
    container: forged,
    label: { "a\r\nb": "c\u2028d" },
    header: "value\r\nX-Forged: yes",
  });
  expect(more).toEqual([]);
  expect(line).toStartWith("time=");
  expect(line.match(/ level=/g)).toHaveLength(2 + 1);
  expect(line.match(/^time=\S+ level=info /)).not.toBeNull();
  expect(line).toContain(String.raw`container="box\"\ntime=`);
});

test("nothing in a record speaks to a terminal", async () => {
  const [line = ""] = await logged("\u001b[2J", { name: "\u009b31m\u007f\u0085\u0000" });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
  expect(line).toContain(String.raw`msg="\u001b[2J" name="\u009b31m\u007f\u0085\u0000"`);
});
