import { expect, test } from "bun:test";
import { credentialsOf } from "./images.ts";

const sent = (header: string | undefined) => credentialsOf({ header: () => header });

test("credentials that cannot be read are none", () => {
  for (const header of [undefined, "", "*", "YWJj", Buffer.from('{"username":1}').toString("base64url")]) {
    expect(sent(header)).toBeUndefined();
  }
  const json = JSON.stringify({ username: "a", password: "b" });
  expect(sent(Buffer.from(json).toString("base64url"))).toEqual({ username: "a", password: "b" });
});
