import { expect, test } from "bun:test";
import type { ImageInspect } from "../../api/types.ts";
import { credentialsOf, inspectFor, platformToDelete } from "./images.ts";

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

test("before 1.50 an image's defaults look like a container's, before 1.44 it has a date in any case", () => {
  const image = {
    Id: "sha256:a",
    Size: 3,
    Config: { Cmd: ["sh"] },
    Descriptor: {},
  } as unknown as ImageInspect;
  const at = (minor: number) => inspectFor({ atLeast: ([, least]) => minor >= least }, image);
  expect(at(50)).toEqual(image);
  expect(at(49)).toMatchObject({
    Config: {
      Cmd: ["sh"],
      Env: null,
      Labels: null,
      Entrypoint: null,
      Volumes: null,
      Hostname: "",
      Tty: false,
    },
  });
  expect(at(43)).toMatchObject({ Created: "0001-01-01T00:00:00Z", VirtualSize: 3 });
});
