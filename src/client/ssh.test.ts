import { expect, test } from "bun:test";
import { parseSshAddress, toSshCommand } from "./ssh.ts";

test("a URL names user, port and socket of the remote side", () => {
  const command = toSshCommand(parseSshAddress("ssh://me@far:22/run/x.sock")).join(" ");
  expect(command).toBe(
    "ssh -o ConnectTimeout=30 -T -l me -p 22 -- far docker --host unix:///run/x.sock system dial-stdio",
  );
  expect(() => parseSshAddress("ssh://me:secret@far")).toThrow("plain-text password is not supported");
});
