/**
 * The Go types that Docker's client runs templates on, as data, and JSON read into them. Taken from docker/docker and
 * docker/cli 28.2.2. Loaded only when there is a template: nothing else needs Go's names, zero values and order.
 *
 * A field is `Name type`; `Name=json` where JSON has another name (`-`: none), `Name?` for omitempty, `...Name` for an
 * embedded struct. Named strings and numbers stand as what they are, swarm's and CSI's structs as `any`.
 */
import {
  GoDuration,
  GoMap,
  GoNil,
  GoPointer,
  GoStruct,
  type GoStructField,
  type GoStructType,
  GoTime,
} from "./go-value.ts";

const structs = {
  "blkiodev.ThrottleDevice": "Path string; Rate int",
  "blkiodev.WeightDevice": "Path string; Weight int",
  "container.Config": `
    Hostname string; Domainname string; User string; AttachStdin bool; AttachStdout bool;
    AttachStderr bool; ExposedPorts? map[string]struct{}; Tty bool; OpenStdin bool; StdinOnce bool;
    Env []string; Cmd []string; Healthcheck? *v1.HealthcheckConfig; ArgsEscaped? bool; Image string;
    Volumes map[string]struct{}; WorkingDir string; Entrypoint []string; NetworkDisabled? bool;
    MacAddress? string; OnBuild []string; Labels map[string]string; StopSignal? string; StopTimeout? *int;
    Shell? []string`,
  "container.ContainerJSONBase": `
    ID=Id string; Created string; Path string; Args []string; State *container.State; Image string;
    ResolvConfPath string; HostnamePath string; HostsPath string; LogPath string; Name string;
    RestartCount int; Driver string; Platform string; MountLabel string; ProcessLabel string;
    AppArmorProfile string; ExecIDs []string; HostConfig *container.HostConfig;
    GraphDriver storage.DriverData; SizeRw? *int; SizeRootFs? *int`,
  "container.DefaultNetworkSettings": `
    EndpointID string; Gateway string; GlobalIPv6Address string; GlobalIPv6PrefixLen int; IPAddress string;
    IPPrefixLen int; IPv6Gateway string; MacAddress string`,
  "container.DeviceMapping": "PathOnHost string; PathInContainer string; CgroupPermissions string",
  "container.DeviceRequest": `
    Driver string; Count int; DeviceIDs []string; Capabilities [][]string; Options map[string]string`,
  "container.Health": "Status string; FailingStreak int; Log []*container.HealthcheckResult",
  "container.HealthcheckResult": "Start time.Time; End time.Time; ExitCode int; Output string",
  "container.HostConfig": `
    Binds []string; ContainerIDFile string; LogConfig container.LogConfig; NetworkMode string;
    PortBindings map[string][]nat.PortBinding; RestartPolicy container.RestartPolicy; AutoRemove bool;
    VolumeDriver string; VolumesFrom []string; ConsoleSize [2]int; Annotations? map[string]string;
    CapAdd []string; CapDrop []string; CgroupnsMode string; DNS=Dns []string;
    DNSOptions=DnsOptions []string; DNSSearch=DnsSearch []string; ExtraHosts []string; GroupAdd []string;
    IpcMode string; Cgroup string; Links []string; OomScoreAdj int; PidMode string; Privileged bool;
    PublishAllPorts bool; ReadonlyRootfs bool; SecurityOpt []string; StorageOpt? map[string]string;
    Tmpfs? map[string]string; UTSMode string; UsernsMode string; ShmSize int; Sysctls? map[string]string;
    Runtime? string; Isolation string; ...Resources container.Resources; Mounts? []mount.Mount;
    MaskedPaths []string; ReadonlyPaths []string; Init? *bool`,
  "container.InspectResponse": `
    ...ContainerJSONBase *container.ContainerJSONBase; Mounts []container.MountPoint;
    Config *container.Config; NetworkSettings *container.NetworkSettings;
    ImageManifestDescriptor? *v1.Descriptor`,
  "container.LogConfig": "Type string; Config map[string]string",
  "container.MountPoint": `
    Type? string; Name? string; Source string; Destination string; Driver? string; Mode string; RW bool;
    Propagation string`,
  "container.NetworkSettings": `
    ...NetworkSettingsBase container.NetworkSettingsBase;
    ...DefaultNetworkSettings container.DefaultNetworkSettings;
    Networks map[string]*network.EndpointSettings`,
  "container.NetworkSettingsBase": `
    Bridge string; SandboxID string; SandboxKey string; Ports map[string][]nat.PortBinding;
    HairpinMode bool; LinkLocalIPv6Address string; LinkLocalIPv6PrefixLen int;
    SecondaryIPAddresses []network.Address; SecondaryIPv6Addresses []network.Address`,
  "container.Resources": `
    CPUShares=CpuShares int; Memory int; NanoCPUs=NanoCpus int; CgroupParent string; BlkioWeight int;
    BlkioWeightDevice []*blkiodev.WeightDevice; BlkioDeviceReadBps []*blkiodev.ThrottleDevice;
    BlkioDeviceWriteBps []*blkiodev.ThrottleDevice; BlkioDeviceReadIOps []*blkiodev.ThrottleDevice;
    BlkioDeviceWriteIOps []*blkiodev.ThrottleDevice; CPUPeriod=CpuPeriod int; CPUQuota=CpuQuota int;
    CPURealtimePeriod=CpuRealtimePeriod int; CPURealtimeRuntime=CpuRealtimeRuntime int; CpusetCpus string;
    CpusetMems string; Devices []container.DeviceMapping; DeviceCgroupRules []string;
    DeviceRequests []container.DeviceRequest; KernelMemory? int; KernelMemoryTCP? int;
    MemoryReservation int; MemorySwap int; MemorySwappiness *int; OomKillDisable *bool; PidsLimit *int;
    Ulimits []*units.Ulimit; CPUCount=CpuCount int; CPUPercent=CpuPercent int; IOMaximumIOps int;
    IOMaximumBandwidth int`,
  "container.RestartPolicy": "Name string; MaximumRetryCount int",
  "container.State": `
    Status string; Running bool; Paused bool; Restarting bool; OOMKilled bool; Dead bool; Pid int;
    ExitCode int; Error string; StartedAt string; FinishedAt string; Health? *container.Health`,
  "events.Actor": "ID string; Attributes map[string]string",
  "events.Message": `
    Status=status? string; ID=id? string; From=from? string; Type string; Action string;
    Actor events.Actor; Scope=scope? string; Time=time? int; TimeNano=timeNano? int`,
  "image.AttestationProperties": "For string",
  "image.ImageProperties": "Platform v1.Platform; Size image.ImageSize; Containers []string",
  "image.ImageSize": "Unpacked int",
  "image.InspectResponse": `
    ID=Id string; RepoTags []string; RepoDigests []string; Parent string; Comment string; Created? string;
    Container? string; ContainerConfig? *container.Config; DockerVersion string; Author string;
    Config *v1.DockerOCIImageConfig; Architecture string; Variant? string; Os string; OsVersion? string;
    Size int; VirtualSize? int; GraphDriver storage.DriverData; RootFS image.RootFS;
    Metadata image.Metadata; Descriptor? *v1.Descriptor; Manifests? []image.ManifestSummary`,
  "image.ManifestSize": "Content int; Total int",
  "image.ManifestSummary": `
    ID string; Descriptor v1.Descriptor; Available bool; Size image.ManifestSize; Kind string;
    ImageData? *image.ImageProperties; AttestationData? *image.AttestationProperties`,
  "image.Metadata": "LastTagTime? time.Time",
  "image.RootFS": "Type? string; Layers? []string",
  "mount.BindOptions": `
    Propagation? string; NonRecursive? bool; CreateMountpoint? bool; ReadOnlyNonRecursive? bool;
    ReadOnlyForceRecursive? bool`,
  "mount.Driver": "Name? string; Options? map[string]string",
  "mount.ImageOptions": "Subpath? string",
  "mount.Mount": `
    Type? string; Source? string; Target? string; ReadOnly? bool; Consistency? string;
    BindOptions? *mount.BindOptions; VolumeOptions? *mount.VolumeOptions;
    ImageOptions? *mount.ImageOptions; TmpfsOptions? *mount.TmpfsOptions; ClusterOptions? any`,
  "mount.TmpfsOptions": "SizeBytes? int; Mode? int; Options? [][]string",
  "mount.VolumeOptions": `
    NoCopy? bool; Labels? map[string]string; Subpath? string; DriverConfig? *mount.Driver`,
  "nat.PortBinding": "HostIP=HostIp string; HostPort string",
  "network.Address": "Addr string; PrefixLen int",
  "network.ConfigReference": "Network string",
  "network.EndpointIPAMConfig": "IPv4Address? string; IPv6Address? string; LinkLocalIPs? []string",
  "network.EndpointResource": `
    Name string; EndpointID string; MacAddress string; IPv4Address string; IPv6Address string`,
  "network.EndpointSettings": `
    IPAMConfig *network.EndpointIPAMConfig; Links []string; Aliases []string; MacAddress string;
    DriverOpts map[string]string; GwPriority int; NetworkID string; EndpointID string; Gateway string;
    IPAddress string; IPPrefixLen int; IPv6Gateway string; GlobalIPv6Address string;
    GlobalIPv6PrefixLen int; DNSNames []string`,
  "network.IPAM": "Driver string; Options map[string]string; Config []network.IPAMConfig",
  "network.IPAMConfig": `
    Subnet? string; IPRange? string; Gateway? string; AuxAddress=AuxiliaryAddresses? map[string]string`,
  "network.Inspect": `
    Name string; ID=Id string; Created time.Time; Scope string; Driver string; EnableIPv4 bool;
    EnableIPv6 bool; IPAM network.IPAM; Internal bool; Attachable bool; Ingress bool;
    ConfigFrom network.ConfigReference; ConfigOnly bool; Containers map[string]network.EndpointResource;
    Options map[string]string; Labels map[string]string; Peers? []network.PeerInfo;
    Services? map[string]network.ServiceInfo`,
  "network.PeerInfo": "Name string; IP string",
  "network.ServiceInfo": "VIP string; Ports []string; LocalLBIndex int; Tasks []network.Task",
  "network.Task": "Name string; EndpointID string; EndpointIP string; Info map[string]string",
  "registry.IndexInfo": "Mirrors []string; Name string; Official bool; Secure bool",
  "registry.ServiceConfig": `
    AllowNondistributableArtifactsCIDRs? []string; AllowNondistributableArtifactsHostnames? []string;
    IndexConfigs map[string]*registry.IndexInfo; InsecureRegistryCIDRs []string; Mirrors []string`,
  "storage.DriverData": "Data map[string]string; Name string",
  "swarm.Info": `
    NodeID string; NodeAddr string; LocalNodeState string; ControlAvailable bool; Error string;
    RemoteManagers []swarm.Peer; Nodes? int; Managers? int; Cluster? any; Warnings? []string`,
  "swarm.Peer": "NodeID string; Addr string",
  "system.Commit": "ID string; Expected? string",
  "system.ContainerdInfo": "Address? string; Namespaces system.ContainerdNamespaces",
  "system.ContainerdNamespaces": "Containers string; Plugins string",
  "system.DeviceInfo": "Source string; ID string",
  "system.FirewallInfo": "Driver string; Info? [][2]string",
  "system.Info": `
    ID string; Containers int; ContainersRunning int; ContainersPaused int; ContainersStopped int;
    Images int; Driver string; DriverStatus [][2]string; SystemStatus? [][2]string;
    Plugins system.PluginsInfo; MemoryLimit bool; SwapLimit bool; KernelMemory? bool;
    KernelMemoryTCP? bool; CPUCfsPeriod=CpuCfsPeriod bool; CPUCfsQuota=CpuCfsQuota bool; CPUShares bool;
    CPUSet bool; PidsLimit bool; IPv4Forwarding bool; Debug bool; NFd int; OomKillDisable bool;
    NGoroutines int; SystemTime string; LoggingDriver string; CgroupDriver string; CgroupVersion? string;
    NEventsListener int; KernelVersion string; OperatingSystem string; OSVersion string; OSType string;
    Architecture string; IndexServerAddress string; RegistryConfig *registry.ServiceConfig; NCPU int;
    MemTotal int; GenericResources any; DockerRootDir string; HTTPProxy=HttpProxy string;
    HTTPSProxy=HttpsProxy string; NoProxy string; Name string; Labels []string; ExperimentalBuild bool;
    ServerVersion string; Runtimes map[string]system.RuntimeWithStatus; DefaultRuntime string;
    Swarm swarm.Info; LiveRestoreEnabled bool; Isolation string; InitBinary string;
    ContainerdCommit system.Commit; RuncCommit system.Commit; InitCommit system.Commit;
    SecurityOptions []string; ProductLicense? string; DefaultAddressPools? []system.NetworkAddressPool;
    FirewallBackend? *system.FirewallInfo; CDISpecDirs []string; DiscoveredDevices? []system.DeviceInfo;
    Containerd? *system.ContainerdInfo; Warnings []string`,
  "system.NetworkAddressPool": "Base string; Size int",
  "system.PluginsInfo": "Volume []string; Network []string; Authorization []string; Log []string",
  "system.Runtime": `
    Path=path? string; Args=runtimeArgs? []string; Type=runtimeType? string;
    Options=options? map[string]any`,
  "system.RuntimeWithStatus": "...Runtime system.Runtime; Status=status? map[string]string",
  "system.clientInfo": "Debug bool; ...clientVersion system.clientVersion; Plugins []any; Warnings []string",
  "system.clientVersion": `
    Platform? *system.platformInfo; Version? string; APIVersion=ApiVersion? string;
    DefaultAPIVersion? string; GitCommit? string; GoVersion? string; Os? string; Arch? string;
    BuildTime? string; Context string`,
  "system.dockerInfo": `
    ...Info *system.Info; ServerErrors? []string; UserName=- string; ClientInfo? *system.clientInfo;
    ClientErrors? []string`,
  "system.platformInfo": "Name? string",
  "system.sparseInfo": "ClientInfo? *system.clientInfo; ClientErrors? []string",
  "system.versionInfo": "Client system.clientVersion; Server *types.Version",
  "types.ComponentVersion": "Name string; Version string; Details? map[string]string",
  "types.PlatformName": "Name string",
  "types.Version": `
    Platform? types.PlatformName; Components? []types.ComponentVersion; Version string;
    APIVersion=ApiVersion string; MinAPIVersion? string; GitCommit string; GoVersion string; Os string;
    Arch string; KernelVersion? string; Experimental? bool; BuildTime? string`,
  "units.Ulimit": "Name string; Hard int; Soft int",
  "v1.Descriptor": `
    MediaType=mediaType string; Digest=digest string; Size=size int; URLs=urls? []string;
    Annotations=annotations? map[string]string; Data=data? []byte; Platform=platform? *v1.Platform;
    ArtifactType=artifactType? string`,
  "v1.DockerOCIImageConfig": `
    ...ImageConfig v1.ImageConfig; ...DockerOCIImageConfigExt v1.DockerOCIImageConfigExt`,
  "v1.DockerOCIImageConfigExt": "Healthcheck? *v1.HealthcheckConfig; OnBuild? []string; Shell? []string",
  "v1.HealthcheckConfig": `
    Test? []string; Interval? time.Duration; Timeout? time.Duration; StartPeriod? time.Duration;
    StartInterval? time.Duration; Retries? int`,
  "v1.ImageConfig": `
    User? string; ExposedPorts? map[string]struct{}; Env? []string; Entrypoint? []string; Cmd? []string;
    Volumes? map[string]struct{}; WorkingDir? string; Labels? map[string]string; StopSignal? string;
    ArgsEscaped? bool`,
  "v1.Platform": `
    Architecture=architecture string; OS=os string; OSVersion=os.version? string;
    OSFeatures=os.features? []string; Variant=variant? string`,
  "context.contextWithTLSListing": `
    Name? string; Metadata? any; Endpoints? map[string]any; TLSMaterial map[string]any; Storage any`,
  "volume.UsageData": "RefCount int; Size int",
  "volume.Volume": `
    ClusterVolume? any; CreatedAt? string; Driver string; Labels map[string]string; Mountpoint string;
    Name string; Options map[string]string; Scope string; Status? map[string]any;
    UsageData? *volume.UsageData`,
  "struct{}": "",
} as const;

export type GoTypeName = Exclude<keyof typeof structs, "struct{}">;

/** String methods, which `%v` prefers. */
const stringMethods: Readonly<Record<string, (value: GoStruct) => string>> = {
  "blkiodev.ThrottleDevice": (device) => `${device.get("Path")}:${device.get("Rate")}`,
  "blkiodev.WeightDevice": (device) => `${device.get("Path")}:${device.get("Weight")}`,
  "units.Ulimit": (limit) => `${limit.get("Name")}=${limit.get("Soft")}:${limit.get("Hard")}`,
};

/**
 * JSON read as a struct: what it lacks has its zero value, what the type lacks is dropped.
 * @param json large integers may be bigints
 * @throws Error where JSON has another kind of value than the type
 */
export function toGoStruct(name: GoTypeName, json: unknown): GoStruct {
  return structOf(name, json);
}

interface Field extends GoStructField {
  readonly goType: string;
}

interface StructType extends GoStructType {
  readonly fields: readonly Field[];
}

const parsed = new Map<string, StructType>();

function structType(name: string): StructType {
  const known = parsed.get(name);
  if (known) return known;
  const source: string = structs[name as keyof typeof structs];
  const fields = source
    .split(";")
    .map((field) => field.trim())
    .filter((field) => field !== "")
    .map(toField);
  const string = stringMethods[name];
  const type = { name, fields, ...(string && { string }) };
  parsed.set(name, type);
  return type;
}

function toField(source: string): Field {
  const [, embedded, name = "", json, optional, goType = ""] =
    /^(\.\.\.)?(\w+)(?:=([\w.-]+?))?(\?)? (.+)$/.exec(source) ?? [];
  return {
    name,
    goType,
    json: json === "-" ? undefined : (json ?? name),
    omitEmpty: optional !== undefined,
    embedded: embedded !== undefined,
  };
}

/** A value of a Go type, or the type's zero value. */
function goValue(type: string, json: unknown): unknown {
  if (type.startsWith("*")) return pointerTo(type, json);
  if (type.startsWith("[")) return listOf(type, json);
  if (type.startsWith("map[")) return mapOf(type, json);
  switch (type) {
    case "string":
      return scalar(type, "string", json, "");
    case "bool":
      return scalar(type, "boolean", json, false);
    case "int":
      return typeof json === "bigint" ? json : scalar(type, "number", json, 0);
    case "any":
      return json ?? null;
    case "time.Time":
      return new GoTime(scalar(type, "string", json, "0001-01-01T00:00:00Z"));
    case "time.Duration":
      return new GoDuration(Number(json ?? 0));
    default:
      return structOf(type, json);
  }
}

function scalar<T>(type: string, kind: string, json: unknown, zero: T): T {
  if (json === undefined || json === null) return zero;
  if (typeof json !== kind) throw mismatch(type, json);
  return json as T;
}

function mismatch(type: string, json: unknown): Error {
  const kind = Array.isArray(json) ? "array" : typeof json === "boolean" ? "bool" : typeof json;
  return new Error(`json: cannot unmarshal ${kind} into Go value of type ${type}`);
}

function structOf(name: string, json: unknown): GoStruct {
  if (json !== undefined && json !== null && (typeof json !== "object" || Array.isArray(json))) {
    throw mismatch(name, json);
  }
  const type = structType(name);
  const members = (json ?? {}) as Record<string, unknown>;
  const values = type.fields.map(({ embedded, json: key, goType }) =>
    embedded
      ? structOf(goType.replace(/^\*/, ""), members)
      : goValue(goType, key !== undefined && Object.hasOwn(members, key) ? members[key] : undefined),
  );
  return new GoStruct(type, values);
}

function pointerTo(type: string, json: unknown): unknown {
  if (json === undefined || json === null) return new GoNil(type, "pointer");
  const value = goValue(type.slice(1), json);
  return value instanceof GoStruct ? value.toPointer() : new GoPointer(type, value);
}

function listOf(type: string, json: unknown): unknown {
  const end = type.indexOf("]");
  const element = type.slice(end + 1);
  const length = Number(type.slice(1, end));
  if (json === undefined || json === null) {
    return length > 0 ? Array.from({ length }, () => goValue(element, undefined)) : new GoNil(type, "slice");
  }
  // strslice.StrSlice takes a single string, too.
  const items: unknown = type === "[]string" && typeof json === "string" ? [json] : json;
  // Bytes are text in JSON.
  if (type === "[]byte") return scalar(type, "string", json, "");
  if (!Array.isArray(items)) throw mismatch(type, json);
  return items.map((item) => goValue(element, item));
}

function mapOf(type: string, json: unknown): unknown {
  const element = type.slice(type.indexOf("]") + 1);
  const zero = (): unknown => goValue(element, undefined);
  if (json === undefined || json === null) return new GoNil(type, "map", zero);
  if (typeof json !== "object" || Array.isArray(json)) throw mismatch(type, json);
  const entries = Object.entries(json).map(([key, item]): [string, unknown] => [key, goValue(element, item)]);
  return new GoMap(type, new Map(entries), zero);
}
