import { expect, test } from "bun:test";
import type { ContainerRecord } from "../../core/container.ts";
import { logAttributes } from "./log-subject.ts";

const attributes = (options: Record<string, string>) =>
  logAttributes({
    config: {
      Labels: { app: "web", "com.x.tier": "a b", other: "" },
      Env: ["PATH=/bin", "LANG=C=D", "bare"],
    },
    hostConfig: { LogConfig: { Type: "json-file", Config: options } },
  } as unknown as ContainerRecord);

test("labels and variables are chosen by name and by pattern, in the order of their names", () => {
  expect(attributes({ labels: "other,app,none", env: "LANG,bare" })).toEqual({
    LANG: "C=D",
    app: "web",
    other: "",
  });
  expect(Object.entries(attributes({ "labels-regex": "^com\\.", "env-regex": "(?i)^pa" }))).toEqual([
    ["PATH", "/bin"],
    ["com.x.tier", "a b"],
  ]);
  expect(attributes({})).toEqual({});
});
