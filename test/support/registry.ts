/** The Go registry (`docker-registry`) on a free port of loopback, as a peer for tests. */
import { createHash, createPrivateKey, createSign, randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";

const program = process.env.GANTRY_TEST_REGISTRY ?? "docker-registry";

/** The account that registries with authentication know. */
export const account = { username: "gina", password: "s3cret-pass" };

export interface RegistryOptions {
  /** Directory with the registry's storage; several registries may read one. */
  readonly storage: string;
  readonly writable?: boolean;
  readonly auth?: "none" | "htpasswd" | "token";
}

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** Lines of the registry's access log so far: which requests came. */
  log(): string;
}

export async function startRegistry({
  storage,
  writable = false,
  auth = "none",
}: RegistryOptions): Promise<TestRegistry> {
  await using undo = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "gantry-registry-"));
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const tokens = auth === "token" ? undo.use(await startTokenServer(directory)) : undefined;
  const configuration = {
    version: 0.1,
    log: { level: "info", accesslog: { disabled: false } },
    storage: {
      filesystem: { rootdirectory: storage },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false }, readonly: { enabled: !writable } },
    },
    http: { addr: host },
    ...(auth === "htpasswd"
      ? { auth: { htpasswd: { realm: "test", path: await htpasswdFile(directory) } } }
      : {}),
    ...(tokens ? { auth: { token: tokens.settings } } : {}),
  };
  const file = join(directory, "config.json");
  writeFileSync(file, JSON.stringify(configuration));
  const log = join(directory, "log");
  const server = Bun.spawn([program, "serve", file], {
    stdin: "ignore",
    stdout: Bun.file(log),
    stderr: Bun.file(`${log}.err`),
  });
  undo.defer(async () => {
    server.kill();
    await server.exited;
  });
  await accepting(port, () => `docker-registry: ${read(`${log}.err`)}`);
  const owned = undo.move();
  return {
    host,
    log: () => read(log) + read(`${log}.err`),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A port of loopback that nobody has at the moment. */
export async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = createTcpServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo;
    server.close(() => resolve(port));
  });
  return await promise;
}

async function accepting(port: number, trouble: () => string): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
    const open = await promise;
    socket.destroy();
    if (open) return;
    if (Date.now() > deadline) throw new Error(`nothing listens on ${port}: ${trouble()}`);
    await Bun.sleep(10);
  }
}

/** bcrypt is the only form that the registry takes. */
async function htpasswdFile(directory: string): Promise<string> {
  const file = join(directory, "htpasswd");
  const hash = await Bun.password.hash(account.password, { algorithm: "bcrypt", cost: 5 });
  writeFileSync(file, `${account.username}:${hash.replace(/^\$2b\$/, "$2y$")}\n`);
  return file;
}

/**
 * The token service that the registry's documentation describes: it gives anonymous callers pull access to all but
 * `private/…`, and the account everything.
 */
async function startTokenServer(
  directory: string,
): Promise<AsyncDisposable & { settings: Record<string, string> }> {
  const key = join(directory, "token.key");
  const certificate = join(directory, "token.crt");
  await $`openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout ${key} -out ${certificate}`.quiet();
  const issue = (subject: string, service: string, access: readonly unknown[]): string => {
    const now = Math.floor(Date.now() / 1000);
    const header = { typ: "JWT", alg: "RS256", x5c: [pemBody(read(certificate))] };
    const claims = {
      iss: "tests",
      sub: subject,
      aud: service,
      iat: now,
      nbf: now - 60,
      exp: now + 300,
      jti: randomUUID(),
      access,
    };
    const signed = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    const signature = createSign("RSA-SHA256")
      .update(signed)
      .sign(createPrivateKey(read(key)), "base64url");
    return `${signed}.${signature}`;
  };
  const server = createServer((request, reply) => {
    const url = new URL(request.url ?? "/", "http://token");
    const basic = /^Basic (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const known =
      basic && Buffer.from(basic, "base64").toString() === `${account.username}:${account.password}`;
    if (basic && !known)
      return reply.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}');
    const access = url.searchParams.getAll("scope").flatMap((scope) => {
      const [type = "", name = "", actions = ""] = scope.split(":");
      const allowed = actions
        .split(",")
        .filter((action) => known || (action === "pull" && !name.startsWith("private/")));
      return allowed.length > 0 ? [{ type, name, actions: allowed }] : [];
    });
    const token = issue(known ? account.username : "", url.searchParams.get("service") ?? "", access);
    return reply
      .writeHead(200, { "Content-Type": "application/json" })
      .end(JSON.stringify({ token, expires_in: 300 }));
  });
  const port = await listen(server);
  return {
    settings: {
      realm: `http://127.0.0.1:${port}/token`,
      service: "test-registry",
      issuer: "tests",
      rootcertbundle: certificate,
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export async function listen(server: Server): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return (server.address() as AddressInfo).port;
}

function pemBody(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\s/g, "");
}

function read(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** `sha256:…` of bytes. */
export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
