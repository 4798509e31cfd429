/** A PostgreSQL of its own on a free port of loopback, from the distribution's package. */
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import { freePort } from "./registry.ts";

/** Of `nobody`: PostgreSQL does not run as root. */
const USER = 65_534;

/** Where the programs are, or undefined where the package is not installed. */
export function postgresPrograms(): string | undefined {
  const root = "/usr/lib/postgresql";
  if (!existsSync(root)) return undefined;
  const [newest] = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return newest === undefined ? undefined : join(root, newest, "bin");
}

export interface TestPostgres extends AsyncDisposable {
  /** Of the database `postgres`. */
  readonly url: string;
}

export async function startPostgres(): Promise<TestPostgres> {
  const programs = postgresPrograms();
  if (programs === undefined) throw new Error("PostgreSQL is not installed");
  const directory = mkdtempSync(join(tmpdir(), "gantry-postgres-"));
  chownSync(directory, USER, USER);
  const as = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"];
  const data = join(directory, "data");
  const quiet = { cwd: directory, stdout: "ignore", stderr: "pipe" } as const;
  await $`${as} ${programs}/initdb -D ${data} -U postgres -A trust -E UTF8 --no-sync`.cwd(directory).quiet();
  const port = await freePort();
  const settings = [
    "-c",
    `port=${port}`,
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    `unix_socket_directories=${directory}`,
  ];
  const server = Bun.spawn(
    [...as, `${programs}/postgres`, "-D", data, ...settings, "-c", "max_connections=100"],
    quiet,
  );
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const deadline = Date.now() + 20_000;
  while ((await $`${programs}/pg_isready -q -h 127.0.0.1 -p ${port}`.nothrow().quiet()).exitCode !== 0) {
    if (Date.now() > deadline || server.exitCode !== null) throw new Error("PostgreSQL did not start");
    await Bun.sleep(50);
  }
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      server.kill("SIGINT");
      await server.exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
