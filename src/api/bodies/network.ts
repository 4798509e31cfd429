/** Decoders of what clients say about networks and endpoints. */
import { array, bool, type Decoder, int, map, string, struct } from "../decode.ts";
import type {
  EndpointIPAMConfig,
  EndpointSettings,
  IPAM,
  IPAMConfig,
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkDisconnectRequest,
} from "../types.ts";

export const endpointSettings: Decoder<EndpointSettings> = struct<EndpointSettings>(
  "network.EndpointSettings",
  {
    IPAMConfig: struct<EndpointIPAMConfig>("network.EndpointIPAMConfig", {
      IPv4Address: string,
      IPv6Address: string,
      LinkLocalIPs: array(string),
    }),
    Links: array(string),
    MacAddress: string,
    Aliases: array(string),
    DriverOpts: map(string),
    GwPriority: int,
    NetworkID: string,
    EndpointID: string,
    Gateway: string,
    IPAddress: string,
    IPPrefixLen: int,
    IPv6Gateway: string,
    GlobalIPv6Address: string,
    GlobalIPv6PrefixLen: int,
    DNSNames: array(string),
  },
);

/** `POST /networks/create`. The name may be absent here: the engine says so in Docker's words. */
export const networkCreateBody: Decoder<Partial<NetworkCreateRequest>> = struct<NetworkCreateRequest>(
  "network.CreateRequest",
  {
    Name: string,
    Driver: string,
    Scope: string,
    Internal: bool,
    Attachable: bool,
    Ingress: bool,
    ConfigOnly: bool,
    ConfigFrom: struct<{ Network: string }>("network.ConfigReference", { Network: string }),
    IPAM: struct<IPAM>("network.IPAM", {
      Driver: string,
      Options: map(string),
      Config: array(
        struct<IPAMConfig>("network.IPAMConfig", {
          Subnet: string,
          IPRange: string,
          Gateway: string,
          AuxiliaryAddresses: map(string),
        }),
      ),
    }),
    EnableIPv4: bool,
    EnableIPv6: bool,
    Options: map(string),
    Labels: map(string),
  },
);

export const networkConnectBody: Decoder<NetworkConnectRequest> = struct<NetworkConnectRequest>(
  "network.ConnectOptions",
  { Container: string, EndpointConfig: endpointSettings },
);

export const networkDisconnectBody: Decoder<NetworkDisconnectRequest> = struct<NetworkDisconnectRequest>(
  "network.DisconnectOptions",
  { Container: string, Force: bool },
);
