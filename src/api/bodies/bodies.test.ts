import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Decoder } from "../decode.ts";
import { decodeAuthHeader, registryConfig, registryCredentials } from "./auth.ts";
import { containerCreateBody, containerUpdateBody, execCreateBody, execStartBody } from "./container.ts";
import { networkConnectBody, networkCreateBody, networkDisconnectBody } from "./network.ts";
import { volumeCreateBody } from "./volume.ts";

/** What the docker CLI 28.2 sent for commands with nearly every flag there is. */
const sent = JSON.parse(readFileSync(join(import.meta.dir, "docker-cli-28.fixture.json"), "utf8")) as Record<
  string,
  Record<string, unknown>
>;

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([key, item]) => [key, withoutNulls(item)]),
  );
}

describe("what the docker CLI sends comes through whole", () => {
  const flat: [string, Decoder<unknown>][] = [
    ["ContainerUpdate", containerUpdateBody],
    ["NetworkCreate", networkCreateBody],
    ["NetworkConnect", networkConnectBody],
    ["VolumeCreate", volumeCreateBody],
  ];
  for (const [operation, decoder] of flat) {
    test(operation, () => {
      expect(decoder(sent[operation])).toEqual(withoutNulls(sent[operation]));
    });
  }

  test("ContainerCreate, taken apart", () => {
    const { config, hostConfig, networkingConfig } = containerCreateBody(sent.ContainerCreate);
    const whole: unknown = { ...config, HostConfig: hostConfig, NetworkingConfig: networkingConfig };
    expect(whole).toEqual(withoutNulls(sent.ContainerCreate));
  });
});

describe("a create request", () => {
  test("may name the runtime beside the host's configuration, as docker-py does", () => {
    const runtime = (body: object) => containerCreateBody(body).hostConfig.Runtime;
    expect(runtime({ Image: "a", Runtime: "runc" })).toBe("runc");
    expect(runtime({ Image: "a", Runtime: "runc", HostConfig: { Runtime: "crun" } })).toBe("crun");
    expect(runtime({ Image: "a" })).toBeUndefined();
  });

  test("without any configuration says so", () => {
    expect(containerCreateBody({ HostConfig: { Memory: 1 } })).toEqual({
      config: undefined,
      hostConfig: { Memory: 1 },
      networkingConfig: {},
    });
  });

  test("names the field that is wrong as dockerd does", () => {
    const decode = (body: unknown) => () => containerCreateBody(body);
    expect(decode({ Image: "x", HostConfig: { Memory: "a" } })).toThrow(
      "json: cannot unmarshal string into Go struct field HostConfig.HostConfig.Memory of type int64",
    );
    expect(decode({ Tty: "yes" })).toThrow("Go struct field CreateRequest.Tty of type bool");
    expect(decode({ ExposedPorts: { "80/tcp": 1 } })).toThrow("cannot unmarshal number into");
    expect(decode({ HostConfig: { PortBindings: { "80/tcp": [{ HostPort: 80 }] } } })).toThrow(
      "Go struct field PortBinding.HostConfig.PortBindings.HostPort of type string",
    );
    expect(decode([])).toThrow("cannot unmarshal array into Go value of type container.CreateRequest");
  });

  test("keeps null bindings apart from empty ones", () => {
    const { hostConfig } = containerCreateBody({
      Image: "x",
      HostConfig: { PortBindings: { "80/tcp": null, "81/tcp": [] } },
    });
    expect(hostConfig.PortBindings).toEqual({ "80/tcp": null, "81/tcp": [] });
  });

  test("takes commands as one string", () => {
    const { config } = containerCreateBody({ Cmd: "true", Entrypoint: "/bin/sh" });
    expect(config).toEqual({ Cmd: ["true"], Entrypoint: ["/bin/sh"] });
  });
});

test("exec requests", () => {
  expect(execCreateBody({ Cmd: ["sh"], ConsoleSize: [24, 80], Detach: true, Env: null })).toEqual({
    Cmd: ["sh"],
    ConsoleSize: [24, 80],
  });
  expect(execStartBody({ Detach: false, Tty: true, ConsoleSize: null })).toEqual({
    Detach: false,
    Tty: true,
  });
  expect(() => execStartBody({ Tty: 1 })).toThrow("ExecStartOptions.Tty of type bool");
});

test("a disconnect request", () => {
  expect(networkDisconnectBody({ container: "c", force: true })).toEqual({ Container: "c", Force: true });
});

describe("registry credentials", () => {
  const credentials = { username: "u", password: "pä~?>" };
  test("are read from both base64 alphabets", () => {
    const json = JSON.stringify(credentials);
    expect(decodeAuthHeader(Buffer.from(json).toString("base64url"), registryCredentials)).toEqual(
      credentials,
    );
    expect(decodeAuthHeader(Buffer.from(json).toString("base64"), registryCredentials)).toEqual(credentials);
  });

  test("may be absent, and must not be garbage", () => {
    expect(decodeAuthHeader(undefined, registryCredentials)).toEqual({});
    expect(decodeAuthHeader("", registryConfig)).toEqual({});
    expect(() => decodeAuthHeader("*", registryCredentials)).toThrow("invalid X-Registry-Auth");
    expect(() => decodeAuthHeader("YWJj", registryCredentials)).toThrow("invalid X-Registry-Auth");
  });
});
