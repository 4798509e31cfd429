import { describe, expect, test } from "bun:test";
import type { ApiVersion } from "../api/route.ts";
import { routes } from "../api/routes.ts";
import { Router } from "./router.ts";

const router = new Router(routes);

function find(method: string, path: string, version: ApiVersion = [1, 51]) {
  const match = router.find(method, path, version);
  return match && [match.route.operation, { ...match.params }];
}

describe("the router", () => {
  test("finds a row with its parameters", () => {
    expect(find("GET", "/containers/web/json")).toEqual(["ContainerInspect", { id: "web" }]);
    expect(find("GET", "/images/localhost:5000/a/b:tag/json")).toEqual([
      "ImageInspect",
      { name: "localhost:5000/a/b:tag" },
    ]);
    expect(find("GET", "/containers/web/attach/ws")).toEqual(["ContainerAttachWebsocket", { id: "web" }]);
    expect(find("DELETE", "/containers/json")).toEqual(["ContainerDelete", { id: "json" }]);
  });

  test("prefers rows without parameters", () => {
    expect(find("GET", "/images/json")).toEqual(["ImageList", {}]);
    expect(find("GET", "/plugins/privileges")).toEqual(["GetPluginPrivileges", {}]);
    expect(find("POST", "/networks/create")).toEqual(["NetworkCreate", {}]);
  });

  test("does not find what is not there", () => {
    expect(find("GET", "/nope")).toBeUndefined();
    expect(find("POST", "/version")).toBeUndefined();
    expect(find("GET", "/version/")).toBeUndefined();
    expect(find("GET", "/services/a/b")).toBeUndefined();
  });

  test("hides rows that are newer than the client", () => {
    expect(find("PUT", "/volumes/v", [1, 41])).toBeUndefined();
    expect(find("PUT", "/volumes/v", [1, 42])).toEqual(["VolumeUpdate", { name: "v" }]);
  });
});
