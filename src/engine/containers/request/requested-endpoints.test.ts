import { describe, expect, test } from "bun:test";
import { type EndpointsRequest, requestedEndpoints } from "./requested-endpoints.ts";

const MAC = "02:00:00:00:00:09";

function asked(request: Partial<EndpointsRequest>) {
  return requestedEndpoints({
    ...{ networkMode: "net", endpoints: {}, containerMac: undefined, endpointMacs: true },
    ...request,
  });
}

test("an endpoint that is null is refused, and `default` is the mode's network", () => {
  expect(() => asked({ endpoints: { net: null } })).toThrow(
    "invalid config for network net: EndpointsConfig is nil",
  );
  expect(asked({ endpoints: { default: {} } }).endpoints).toEqual({ net: {} });
});

describe("the container-wide MAC address", () => {
  test("is the main network's, with a warning that it is deprecated", () => {
    const { endpoints, warnings } = asked({ containerMac: MAC, endpoints: { net: {}, other: {} } });
    expect(endpoints).toEqual({ net: { MacAddress: MAC }, other: {} });
    expect(warnings).toEqual([expect.stringContaining("field is now deprecated")]);
    expect(asked({ containerMac: MAC }).endpoints).toEqual({ net: { MacAddress: MAC } });
  });

  test("must fit an endpoint, and not contradict it", () => {
    expect(() => asked({ containerMac: MAC, endpoints: { other: {} } })).toThrow(
      "HostConfig.NetworkMode must match the identity of a network",
    );
    expect(() =>
      asked({ containerMac: MAC, endpoints: { net: { MacAddress: "02:00:00:00:00:0a" } } }),
    ).toThrow("must match the endpoint-specific MAC address");
  });

  test("means nothing, but a warning, where the mode has no MAC address to set", () => {
    const { endpoints, warnings } = asked({ networkMode: "host", containerMac: MAC });
    expect(endpoints).toEqual({});
    expect(warnings).toHaveLength(1);
  });

  test("was the only one before API 1.44: in force without a warning, refused for such modes", () => {
    const old = { endpointMacs: false, endpoints: { net: { MacAddress: "02:00:00:00:00:0a" } } };
    expect(asked(old)).toEqual({ endpoints: { net: {} }, warnings: [] });
    expect(asked({ ...old, containerMac: MAC }).endpoints).toEqual({ net: { MacAddress: MAC } });
    expect(() => asked({ ...old, networkMode: "host", containerMac: MAC })).toThrow(
      "conflicting options: mac-address and the network mode",
    );
  });
});
