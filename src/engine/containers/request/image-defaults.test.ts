import { expect, test } from "bun:test";
import { withImageDefaults } from "./image-defaults.ts";

const image = {
  User: "app",
  Env: ["PATH=/bin", "A=image"],
  Entrypoint: ["/entry"],
  Cmd: ["serve"],
  Labels: { a: "image", b: "image" },
  ExposedPorts: { "80/tcp": {} },
  Volumes: { "/data": {} },
  WorkingDir: "/srv",
  StopSignal: "SIGQUIT",
};

test("what the request leaves out comes from the image", () => {
  expect(withImageDefaults({ Env: ["A=mine"], Labels: { b: "mine" } }, image)).toMatchObject({
    User: "app",
    Env: ["A=mine", "PATH=/bin"],
    Entrypoint: ["/entry"],
    Cmd: ["serve"],
    Labels: { a: "image", b: "mine" },
    ExposedPorts: { "80/tcp": {} },
    Volumes: { "/data": {} },
    WorkingDir: "/srv",
    StopSignal: "SIGQUIT",
  });
});

test("an entrypoint of the user's makes the image's command void", () => {
  const config = withImageDefaults({ Entrypoint: ["sh"] }, image);
  expect(config.Entrypoint).toEqual(["sh"]);
  expect(config.Cmd).toBeUndefined();
});

test("a command of the user's keeps the image's entrypoint", () => {
  const config = withImageDefaults({ Cmd: ["ls"] }, image);
  expect([config.Entrypoint, config.Cmd]).toEqual([["/entry"], ["ls"]]);
});

test("an empty entrypoint takes the image's away", () => {
  const config = withImageDefaults({ Entrypoint: [""], Cmd: ["ls"] }, image);
  expect([config.Entrypoint, config.Cmd]).toEqual([undefined, ["ls"]]);
});

test("nothing to run is an error", () => {
  expect(() => withImageDefaults({}, {})).toThrow("no command specified");
  expect(() => withImageDefaults({ Entrypoint: [""] }, undefined)).toThrow("no command specified");
});

test("exposed ports of an image are taken as they are: ranges are expanded, what is no port is passed over", () => {
  const image = { Cmd: ["x"], ExposedPorts: { "8000-8002": {}, "53/udp": {}, nonsense: {} } };
  const { ExposedPorts } = withImageDefaults({ ExposedPorts: { "80/tcp": {} } }, image);
  expect(Object.keys(ExposedPorts ?? {}).sort()).toEqual([
    "53/udp",
    "80/tcp",
    "8000/tcp",
    "8001/tcp",
    "8002/tcp",
  ]);
});
