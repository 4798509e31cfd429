/**
 * An engine on another machine, reached as Docker does it (docker/cli, cli/connhelper): every connection is an
 * `ssh` of its own, whose remote command joins its standard streams to the engine there.
 */
import { EngineProtocolError } from "./errors.ts";

export interface SshAddress {
  readonly kind: "ssh";
  readonly hostname: string;
  readonly user: string;
  readonly port: string;
  /** Of the engine's socket there; "" for its default. */
  readonly path: string;
  readonly text: string;
}

/** @throws Error in Docker's words */
export function parseSshAddress(text: string): SshAddress {
  const invalid = (reason: string): Error =>
    new Error(`ssh host connection is not valid: invalid SSH URL: ${reason}`);
  if (!URL.canParse(text)) throw invalid("hostname is empty");
  const { username, password, hostname, port, pathname, search, hash } = new URL(text);
  if (password !== "") throw invalid("plain-text password is not supported");
  if (hostname === "") throw invalid("hostname is empty");
  if (search !== "") throw invalid(`query parameters are not allowed: ${JSON.stringify(search.slice(1))}`);
  if (hash !== "") throw invalid(`fragments are not allowed: ${JSON.stringify(hash.slice(1))}`);
  return {
    kind: "ssh",
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    user: decodeURIComponent(username),
    port,
    path: decodeURIComponent(pathname),
    text,
  };
}

export function toSshCommand({ user, port, hostname, path }: SshAddress): string[] {
  return [
    ...["ssh", "-o ConnectTimeout=30", "-T"],
    ...(user ? ["-l", user] : []),
    ...(port ? ["-p", port] : []),
    ...["--", hostname, "docker"],
    ...(path ? ["--host", `unix://${path}`] : []),
    ...["system", "dial-stdio"],
  ];
}

export interface StreamListener {
  data(bytes: Uint8Array): void;
  end(): void;
  error(error: Error): void;
}

/** A child's standard streams in the shape of a socket. */
export class CommandStream {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  #resumed = Promise.withResolvers<void>();
  #terminated = false;

  constructor(command: readonly string[], listener: StreamListener) {
    this.#child = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    this.#resumed.resolve();
    void this.#receive(command, listener);
  }

  /** @returns all of the bytes, when the child has taken them */
  async write(bytes: Uint8Array): Promise<number> {
    try {
      this.#child.stdin.write(bytes);
      await this.#child.stdin.flush();
    } catch {
      // A child that is gone tells why with its status: that is the reading side's to report.
    }
    return bytes.byteLength;
  }

  pause(): void {
    this.#resumed = Promise.withResolvers();
  }

  resume(): void {
    this.#resumed.resolve();
  }

  shutdown(): void {
    void this.#child.stdin.end();
  }

  terminate(): void {
    this.#terminated = true;
    this.#resumed.resolve();
    this.#child.kill();
  }

  async #receive(command: readonly string[], listener: StreamListener): Promise<void> {
    const complaints = new Response(this.#child.stderr).text();
    try {
      for await (const bytes of this.#child.stdout) {
        await this.#resumed.promise;
        listener.data(bytes);
      }
      const status = await this.#child.exited;
      if (status === 0 || this.#terminated) return listener.end();
      throw new EngineProtocolError(
        `command [${command.join(" ")}] has exited with exit status ${status}, make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: stderr=${await complaints}`,
      );
    } catch (error) {
      listener.error(error as Error);
    }
  }
}
