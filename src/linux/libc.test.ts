import { expect, test } from "bun:test";
import { constants } from "node:os";
import { LinuxError } from "./libc.ts";

test("an error has the name that callers ask for, where a number has two", () => {
  expect(new LinuxError("openat2", constants.errno.EAGAIN).code).toBe("EAGAIN");
  expect(new LinuxError("ioctl", constants.errno.EOPNOTSUPP).code).toBe("EOPNOTSUPP");
  expect(new LinuxError("ioctl", 4095).code).toBe("errno 4095");
});
