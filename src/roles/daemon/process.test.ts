import { expect, test } from "bun:test";
import { join } from "node:path";

test("an error that nobody caught is logged, and the daemon goes on", async () => {
  const script = `
    import { surviveErrors } from ${JSON.stringify(join(import.meta.dir, "process.ts"))};
    surviveErrors();
    void Promise.reject(new Error("nobody awaits this"));
    void Promise.reject("nor a reason that is no error");
    setTimeout(() => { throw new Error("nobody catches this"); }, 1);
    setTimeout(() => console.log("still here"), 50);
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect({ stdout, code }).toEqual({ stdout: "still here\n", code: 0 });
  expect(stderr).toMatch(/level=error msg="unhandled rejection" error="nobody awaits this" stack=/);
  expect(stderr).toMatch(/level=error msg="unhandled rejection" error="nor a reason that is no error"/);
  expect(stderr).toMatch(/level=error msg="uncaught exception" error="nobody catches this" stack=/);
});
