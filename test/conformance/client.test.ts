/**
 * `gantry` beside the docker CLI, word for word: the same engine, the same command, the same output, standard error
 * and exit status. What differs by nature (ids, clock times, the program's own name) is evened out first.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { type Client, clients, cliOf, type Output } from "../support/cli.ts";
import { useEngine } from "../support/suite.ts";

const both = clients.includes("docker") && clients.includes("gantry");
const suite = useEngine();
const docker = suite.cli("docker");
const gantry = suite.cli("gantry");

/** Ids, times and ages, and our own name where Docker's stands. */
function evened({ code, stdout, stderr }: Output): Output {
  // Docker's client iterates maps: the order of one image's rows is by chance.
  const ordered = (text: string): string =>
    /^(REPOSITORY|sha256:|[0-9a-f]{12}$)/m.test(text) ? text.split("\n").sort().join("\n") : text;
  const even = (text: string): string =>
    ordered(text)
      .replace(/\b[0-9a-f]{64}\b/g, "<id>")
      .replace(/\b[0-9a-f]{12}\b/g, "<id>")
      .replace(/\d\d:\d\d:\d\d(\.\d+)?/g, "<time>")
      .replace(/(Up |Exited \(\d+\) )?(\d+|Less than a|About an?) (second|minute|hour)s?( ago)? */g, "<age> ")
      .replace(/\bgantry (?=[[a-z])/g, "docker ")
      .replace(/^gantry:/gm, "docker:")
      .replace(/'gantry/g, "'docker");
  return { code, stdout: even(stdout), stderr: even(stderr) };
}

/** Ages grow between the two calls, and a column is as wide as its longest age: what differs by that is asked again. */
async function expectSame(...args: readonly string[]): Promise<void> {
  for (let attempts = 3; ; attempts--) {
    const [theirs, ours] = [evened(await docker(...args)), evened(await gantry(...args))];
    if (attempts === 1 || Bun.deepEquals(ours, theirs)) return expect(ours).toEqual(theirs);
  }
}

async function withContainers(work: () => Promise<void>): Promise<void> {
  await docker.ok("volume", "create", "--label", "a=b", "pages");
  await docker.ok(
    ...[
      "run",
      "-d",
      "--name",
      "long",
      "--network",
      "none",
      "-v",
      "pages:/data",
      "--label",
      "z=1",
      "--label",
      "y=2",
    ],
    ...["-e", "FOO=bar", "busybox", "sh", "-c", "echo one; echo two >&2; sleep 1000"],
  );
  await docker("run", "--name", "short", "--network", "none", "busybox", "sh", "-c", "echo hello; exit 4");
  await work();
}

const words = (line: string): string[] => line.split(" ");

describe.skipIf(!both)("the client says what Docker's says", () => {
  test("of containers", async () => {
    await withContainers(async () => {
      for (const line of ["ps", "ps -a", "ps -aq", "ps -a --no-trunc", "ps -l", "ps -s", "container ls -a"]) {
        await expectSame(...words(line));
      }
      for (const format of [
        "json",
        "{{json .}}",
        '{{.Names}} {{.Labels}} {{.Label "z"}} {{.Mounts}} {{.State}} {{.CreatedAt}}',
        "table {{.Names|upper}}\\t{{.Image}}",
        '{{if eq .State "running"}}R {{.Names}}{{else}}- {{.Names}}{{end}}',
        '{{printf "%-10s|%5d" .Names 5}}',
        "{{.Size}}",
        "raw",
        "{{.Platform}} {{json .Platform}}",
        "{{.Nope}}",
        "{{.ID",
        "{{nope}}",
      ]) {
        await expectSame("ps", "-a", "--format", format);
      }
      await expectSame("ps", "-a", "--filter", "status=exited");
      await expectSame("ps", "-f", "nope");
    });
  }, 120_000);

  test("of logs, processes and states", async () => {
    await withContainers(async () => {
      for (const line of [
        "logs long",
        "logs -t short",
        "logs --tail 1 long",
        "logs nope",
        "port long",
        "port long 80",
      ]) {
        await expectSame(...words(line));
      }
      for (const line of ["wait short", "top short", "attach short", "exec short ls", "rename long short"]) {
        await expectSame(...words(line));
      }
      for (const line of [
        "exec long echo hi",
        "exec long sh -c 'exit 7'",
        "exec long nope",
        "exec -w /tmp long pwd",
      ]) {
        await expectSame(...words(line));
      }
      for (const line of [
        "start -a short",
        "start nope",
        "stop nope nope2",
        "kill nope",
        "rm nope",
        "rm -f nope",
      ]) {
        await expectSame(...words(line));
      }
    });
  }, 120_000);

  test("of inspected objects", async () => {
    await withContainers(async () => {
      for (const name of ["long", "pages", "busybox", "none"]) await expectSame("inspect", name);
      for (const format of [
        "{{.State.Running}} {{.Config.Env}} {{.HostConfig.Memory}}",
        "{{json .Config.Labels}}",
        '{{index .Config.Labels "z"}}',
        "{{range .Mounts}}{{.Destination}} {{end}}",
        "{{range $key, $value := .Config.Labels}}{{$key}}={{$value}};{{end}}",
        "{{if .State.Health}}y{{else}}n{{end}}",
        "{{.ID}} {{.HostConfig.NanoCPUs}} {{.HostConfig.DNS}}",
        "{{.Mounts}} {{json .Mounts}}",
        "{{range .Mounts}}{{.Name}}{{end}}",
        "{{.NetworkSettings.Ports}} {{.HostConfig.PortBindings}}",
        "{{.Config.ExposedPorts}} {{.Config.Healthcheck}} {{.Config.StopTimeout}} {{.HostConfig.Init}}",
        "{{.SizeRw}} {{.HostConfig.Tmpfs}} {{.State.Health}}",
        "{{.Config.Labels.nope}}",
        "{{.Id}} {{.HostConfig.CapAdd}}",
        "{{index .Args 7}} {{.Id}}",
        '{{define "x"}}<{{.}}>{{end}}{{range .Args}}{{template "x" .}}{{end}}',
        '{{template "nope" .}}',
        "{{slice .Name 1 3}} {{truncate .Name 2}}",
        "{{json .}}",
        "{{.Nope}}",
        "{{nope}}",
        "json",
      ]) {
        await expectSame("inspect", "--format", format, "long");
      }
      for (const format of ["{{.ID}} {{.Created}} {{.Variant}}", "{{json .}}", "{{.Config}} {{.RootFS}}"]) {
        await expectSame("image", "inspect", "--format", format, "busybox");
      }
      for (const format of ["{{.ID}} {{.Created}} {{.IPAM}}", "{{json .}}"]) {
        await expectSame("network", "inspect", "--format", format, "none");
      }
      for (const format of ["{{.}}", "{{json .}}", "{{.Nope}}"]) {
        await expectSame("volume", "inspect", "--format", format, "pages");
      }
    });
  }, 120_000);

  test("of images, networks and volumes", async () => {
    await docker.ok("volume", "create", "--label", "a=b", "pages");
    for (const line of [
      "images",
      "images -q",
      "images --no-trunc",
      "images --digests",
      "images nothing",
      "images ls",
    ]) {
      await expectSame(...words(line));
    }
    for (const line of [
      "network ls",
      "network ls -q",
      "volume ls",
      "volume ls -q",
      "volume ls --format json",
      "images --format raw",
      "images -q --format raw",
      "network ls --format raw",
      "network ls -q --format raw",
      "volume ls --format raw",
      "ps -aq --format raw",
    ]) {
      await expectSame(...words(line));
    }
    for (const line of ["network rm nope", "volume rm nope", "rmi nope", "tag nope x", "tag busybox UPPER"]) {
      await expectSame(...words(line));
    }
  }, 120_000);

  test("of the engine", async () => {
    for (const format of [
      "{{.Server.APIVersion}} {{.Server.Experimental}} {{json .Server}}",
      "{{.Nope}}",
      "{{.Server.Nope}}",
      "{{nope}}",
      "{{range .Server.Components}}{{getDetailsOrder .}}{{end}}",
    ]) {
      await expectSame("version", "--format", format);
    }
    for (const format of [
      "{{.HTTPProxy}} {{.CPUCfsPeriod}} {{.CPUCfsQuota}} {{.ServerErrors}}",
      "{{.ID}} {{.Nope}}",
      "{{.ClientInfo.Context}} {{.ClientInfo.APIVersion}}",
      "{{json .RegistryConfig}} {{json .Runtimes}} {{json .Swarm}}",
      "{{nope}}",
    ]) {
      await expectSame("info", "--format", format);
    }
  }, 120_000);

  test("of events", async () => {
    await docker.ok("volume", "create", "pages");
    await docker.ok("network", "create", "--label", "z=1", "--label", "a=2", "quiet");
    const until = String(Math.ceil(Date.now() / 1000) + 1);
    const past = ["events", "--since", "0", "--until", until];
    await expectSame(...past);
    for (const format of [
      "json",
      "{{json .}}",
      "{{.Status}}|{{.ID}}|{{.From}}|{{.Scope}}|{{.Time}}|{{.TimeNano}}|{{.Actor}}",
      "{{.Bad}}",
      "{{.Actor",
    ]) {
      await expectSame(...past, "--format", format);
    }
  }, 120_000);

  test("of runs, with their streams and statuses", async () => {
    const run = "run --rm --network none";
    for (const line of [
      `${run} busybox echo a`,
      `${run} busybox nope`,
      `${run} busybox /tmp`,
      `${run} -w /x busybox pwd`,
    ]) {
      await expectSame(...words(line));
    }
    await expectSame(...words(`${run} busybox sh -c`), "echo out; echo err >&2; exit 9");
    await expectSame(...words(`${run} -a stderr busybox sh -c`), "echo out; echo err >&2");
    await expectSame(...words(`${run} -t busybox sh -c`), "echo a; echo b >&2");
  }, 120_000);

  test("of command lines that are wrong", async () => {
    for (const line of wrongLines) await expectSame(...words(line));
    for (const kind of ["container", "image", "network", "volume"]) await expectSame(kind, "inspect", "nope");
  }, 120_000);
});

const wrongLines = [
  ...[
    "run",
    "attach a b",
    "port",
    "images a b",
    "exec x",
    "tag a",
    "foo",
    "network foo",
    "--bad",
    "ps --bad",
    "ps -z",
  ],
  ...["ps -n x", "ps --last", "ps -n", "ps --no-trunc=x", "run --memory x busybox", "run -m 512q busybox"],
  ...["run --rm --restart always busybox", "run -p 99999:80 busybox", "run -p 80-81:90-95 busybox"],
  ...[
    "run --ulimit nofile=2:1 busybox",
    "run -e = busybox",
    "run --env-file /nope busybox",
    "run --pull foo busybox",
  ],
  ...[
    "run --mount type=bind busybox",
    "run --mount foo busybox",
    "run -v : busybox",
    "run --device x:y:z busybox",
  ],
  ...[
    "run --pid foo busybox",
    "run --network a --network a busybox",
    "run --network a --network host busybox",
  ],
  ...[
    "run --network-alias x busybox",
    "run --cpus x busybox",
    "run --add-host x busybox",
    "run --dns x busybox",
  ],
  ...[
    "run --sysctl x=y busybox",
    "run --health-interval 5 busybox",
    "run --no-healthcheck --health-cmd x busybox",
  ],
  ...[
    "run --restart on-failure:x busybox",
    "run --security-opt foo busybox",
    "run -a foo busybox",
    "run -it busybox",
  ],
  ...[
    "run -d -a stdin busybox",
    "run --mac-address x busybox",
    "run --expose 1:2 busybox",
    "run --link a:b:c busybox",
  ],
  ...[
    "run UPPER",
    "run busybox:x:y",
    "pull UPPER",
    "network create",
    "volume create a b",
    "-l foo ps",
    "help nope",
  ],
];

/** An engine that keeps what it is asked: what flags become can be compared without running anything. */
class RecordingEngine implements Disposable {
  #last: unknown;
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      const { pathname, searchParams } = new URL(request.url);
      const headers = { "Api-Version": "1.50", Ostype: "linux", "Content-Type": "application/json" };
      if (pathname.endsWith("/_ping")) return new Response("OK", { headers });
      if (pathname.startsWith("/v1.51/")) {
        const message = "client version 1.51 is too new. Maximum supported API version is 1.50";
        return Response.json({ message }, { status: 400, headers });
      }
      const text = await request.text();
      const query = Object.fromEntries([...searchParams].sort());
      this.#last = { method: request.method, pathname, query, body: text && meaningful(JSON.parse(text)) };
      return Response.json({ Id: "x", Name: "x", Warnings: [] }, { status: 201, headers });
    },
  });

  async requestOf(client: Client, args: readonly string[]): Promise<unknown> {
    this.#last = undefined;
    const cli = cliOf(client, { host: `tcp://127.0.0.1:${this.#server.port}`, directory: tmpdir() });
    const { stderr } = await cli.with({ env: { FROM_OUTSIDE: "value" } }, ...args);
    return this.#last ?? stderr;
  }

  [Symbol.dispose](): void {
    this.#server.stop(true);
  }
}

/** Lists whose order means something; the others Docker's client takes out of maps, in an order by chance. */
const ORDERED = new Set(["Cmd", "Entrypoint", "ConsoleSize"]);

/** Without what means the same as nothing: zeros, empty texts and lists. Keys of maps count. */
function meaningful(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? value.map(meaningful) : undefined;
  if (value === null || typeof value !== "object") return value || undefined;
  const entries = Object.entries(value)
    .map(([key, item]) => [key, Array.isArray(item) && !ORDERED.has(key) ? sorted(item) : item] as const)
    .map(([key, item]) => [key, /[/]/.test(key) ? (meaningful(item) ?? "empty") : meaningful(item)] as const)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function sorted(items: readonly unknown[]): unknown[] {
  return items.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

const requestLines = [
  "create -it busybox sh",
  "create --name n --platform linux/amd64 busybox",
  "create -p 8080:80 -p 127.0.0.1:53:53/udp -p [::1]:99:99 -p 7000-7002:7000-7002 -p 9000-9010:90 busybox",
  "create -p published=1,target=2,protocol=udp --expose 99 --expose 100-102/udp -P busybox",
  "create -v /a:/b:ro -v vol:/c -v ./rel:/d -v /anon -v x:/y busybox",
  "create --mount type=bind,src=/a,dst=/b,ro,bind-propagation=rslave busybox",
  "create --mount type=volume,src=v,target=/t,volume-opt=a=b,volume-label=x=y,volume-nocopy busybox",
  "create --mount type=tmpfs,target=/q,tmpfs-size=64m,tmpfs-mode=1770 --mount src=./z,target=/z busybox",
  "create -e A=1 -e FROM_OUTSIDE -e NOT_THERE -l q=r -l s busybox",
  "create -m 512m --memory-swap -1 --memory-reservation 1g --kernel-memory 5m --shm-size 64m --cpus 1.5 busybox",
  "create --cpu-shares 5 --cpuset-cpus 0-1 --cpu-period 1 --memory-swappiness 5 --oom-score-adj -5 --pids-limit 7 busybox",
  "create --blkio-weight 20 --blkio-weight-device /dev/sda:30 --device-read-bps /dev/sda:1mb busybox",
  "create --ulimit nofile=10:20 --ulimit nproc=5 --sysctl net.a=1 --tmpfs /t:size=1m --device /dev/a:/dev/b:r busybox",
  "create --network foo --network-alias a1 --ip 1.2.3.4 --ip6 ::1 --mac-address 92:d0:c6:0a:29:33 --link c:d busybox",
  "create --network name=foo,alias=q,ip=1.2.3.4,driver-opt=a=b,gw-priority=3 --network bar busybox",
  "create --add-host a:1.2.3.4 --add-host b=::1 --dns 8.8.8.8 --dns-search x.y --dns-opt ndots:1 busybox",
  "create --restart on-failure:3 busybox",
  "create --rm=false --init=false --read-only --privileged busybox",
  "create --cap-add NET_ADMIN --cap-drop ALL --security-opt no-new-privileges --security-opt systempaths=unconfined busybox",
  "create --pid host --ipc shareable --uts host --userns host --cgroupns private --runtime r busybox",
  "create --group-add 5 -u 1:2 -w /w -h hh --domainname dd --entrypoint= busybox a",
  "create --health-cmd true --health-interval 1m30s --health-retries 3 --health-start-interval 100ms busybox",
  "create --stop-signal INT --stop-timeout 5 --log-driver syslog --log-opt a=b --annotation x=y busybox",
  "create -a stdin -a stdout busybox",
  "create -- busybox --x",
  "network create --subnet 10.1.0.0/16 --gateway 10.1.0.1 --ip-range 10.1.2.0/24 --aux-address a=10.1.0.5 -o x=y n",
  "network connect --alias a --alias b,c --ip 1.2.3.4 --link x:y --gw-priority 5 n c",
  "volume create -d foo -o a=b --label x=y v",
  "stop -t 5 -s INT c",
  "rm -fv c",
  "rmi -f --no-prune x",
  "tag a host:5/b:c",
];

describe.skipIf(!both)("the client asks what Docker's asks", () => {
  const recording = new RecordingEngine();
  afterAll(() => recording[Symbol.dispose]());

  for (const line of requestLines) {
    test(line, async () => {
      const theirs = await recording.requestOf("docker", words(line));
      expect(await recording.requestOf("gantry", words(line))).toEqual(theirs);
    });
  }
});
