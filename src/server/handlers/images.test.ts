import { expect, test } from "bun:test";
import { credentialsOf, platformToDelete } from "./images.ts";

const sent = (header: string | undefined) => credentialsOf({ header: () => header });

test("credentials that cannot be read are none", () => {
  for (const header of [undefined, "", "*", "YWJj", Buffer.from('{"username":1}').toString("base64url")]) {
    expect(sent(header)).toBeUndefined();
  }
  const json = JSON.stringify({ username: "a", password: "b" });
  expect(sent(Buffer.from(json).toString("base64url"))).toEqual({ username: "a", password: "b" });
});

test("an image is deleted for one whole platform or for whichever it has", () => {
  const sent = (...platforms: string[]) => platformToDelete({ all: () => platforms });
  expect(sent()).toBeUndefined();
  expect(sent('{"os":"linux","architecture":"arm64","variant":"v8"}')).toBe("linux/arm64/v8");
  expect(() => sent('{"os":"linux"}')).toThrow("both OS and Architecture must be provided");
  expect(() => sent('{"variant":"v8"}')).toThrow("optional platform fields provided");
  expect(() => sent("linux")).toThrow("failed to parse platform");
  const one = '{"os":"linux","architecture":"arm64"}';
  expect(() => sent(one, one)).toThrow("multiple platforms are not supported");
});
