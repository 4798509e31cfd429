import { describe, expect, test } from "bun:test";
import { parseExactJson } from "../../base/exact-json.ts";
import { type GoTypeName, toGoStruct } from "./go-types.ts";
import { Template } from "./template.ts";

const container = {
  Id: "0123",
  Created: "2026-11-25T15:39:40.683Z",
  Args: null,
  State: { Status: "running", Running: true },
  HostConfig: {
    Dns: ["1.1.1.1"],
    NanoCpus: 1_500_000_000,
    OomKillDisable: false,
    Ulimits: [{ Name: "nofile", Hard: 2048, Soft: 1024 }],
    PortBindings: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] },
    Memory: 67_108_864,
  },
  Mounts: [
    {
      Type: "volume",
      Name: "pages",
      Source: "/s",
      Destination: "/data",
      Driver: "local",
      Mode: "z",
      RW: true,
    },
    { Type: "bind", Source: "/h", Destination: "/b", Mode: "", RW: true, Propagation: "rprivate" },
  ],
  Config: { Healthcheck: { Test: ["CMD", "true"], Interval: 30_000_000_000 }, Labels: { a: "1" } },
  NetworkSettings: { Ports: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] } },
  Later: "what no type has",
};

const render = (type: GoTypeName, json: unknown, source: string): string =>
  new Template(source).execute(toGoStruct(type, json));

describe("typed templates", () => {
  test.each([
    ["{{.ID}} {{.HostConfig.DNS}} {{.HostConfig.NanoCPUs}}", "0123 [1.1.1.1] 1500000000"],
    ['{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostIP}}', "0.0.0.0"],
    ["{{.NetworkSettings.Ports}}", "map[80/tcp:[{0.0.0.0 8080}]]"],
    ["{{.Mounts}}", "[{volume pages /s /data local z true } {bind  /h /b   true rprivate}]"],
    ["{{range .Mounts}}{{.Name}};{{end}}", "pages;;"],
    ["{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck}}", "30s {[CMD true] 30s 0s 0s 0s 0}"],
    ["{{json .Config.Healthcheck}}", '{"Test":["CMD","true"],"Interval":30000000000}'],
    [
      "{{.HostConfig.Ulimits}} {{json .HostConfig.Ulimits}}",
      '[nofile=1024:2048] [{"Name":"nofile","Hard":2048,"Soft":1024}]',
    ],
    ["{{eq .HostConfig.Memory 67108864}} {{lt .HostConfig.Memory 5}}", "true false"],
  ])("%s finds Go's fields and prints them as Go does", (source, expected) => {
    expect(render("container.InspectResponse", container, source)).toBe(expected);
  });

  test.each([
    [
      "{{.Config.ExposedPorts}} {{.Config.StopSignal}}{{.Config.StopTimeout}} {{.Config.Shell}}",
      "map[] <nil> []",
    ],
    ["{{.HostConfig.Init}} {{.HostConfig.Mounts}} {{.HostConfig.ConsoleSize}}", "<nil> [] [0 0]"],
    ["{{.State.Health}}{{if .State.Health}}y{{else}}n{{end}} {{.SizeRw}}", "<nil>n <nil>"],
    ["{{len .Args}}{{range .Args}}x{{end}} {{json .Args}}", "0 null"],
    ["{{.Config.Labels.nope}}", "<no value>"],
    ['[{{index .Config.Labels "nope"}}] {{index .NetworkSettings.Ports "9/tcp"}}', "[] []"],
    ["{{if .HostConfig.OomKillDisable}}a pointer is true{{end}}", "a pointer is true"],
  ])("%s shows the zero value of what is left out", (source, expected) => {
    expect(render("container.InspectResponse", container, source)).toBe(expected);
  });

  test("JSON of a typed value has Docker's names, order and omissions", () => {
    const network = { Labels: {}, Name: "n", Id: "i", Created: "2024-05-07T10:10:10.100000000Z", More: 1 };
    expect(render("network.Inspect", network, "{{json .}}")).toBe(
      '{"Name":"n","Id":"i","Created":"2024-05-07T10:10:10.1Z","Scope":"","Driver":"","EnableIPv4":false,' +
        '"EnableIPv6":false,"IPAM":{"Driver":"","Options":null,"Config":null},"Internal":false,"Attachable":false,' +
        '"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":null,"Options":null,"Labels":{}}',
    );
    expect(render("network.Inspect", network, "{{.Created}}")).toBe("2024-05-07 10:10:10.1 +0000 UTC");
  });

  test("whole numbers keep their digits", () => {
    const event = parseExactJson('{"timeNano":1795621180123456789}');
    expect(render("events.Message", event, "{{.TimeNano}} {{json .}}")).toBe(
      '1795621180123456789 {"Type":"","Action":"","Actor":{"ID":"","Attributes":null},"timeNano":1795621180123456789}',
    );
  });

  test.each([
    ["{{.Nope}}", "can't evaluate field Nope in type container.InspectResponse"],
    ["{{.Later}}", "can't evaluate field Later in type container.InspectResponse"],
    ["{{.State.Health.Status}}", "nil pointer evaluating *container.Health.Status"],
  ])("%s is refused", (source, message) => {
    expect(() => render("container.InspectResponse", container, source)).toThrow(message);
  });
});
