/** dockerode, the library that most JavaScript programs speak to Docker with, unchanged. */
import { expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import Docker from "dockerode";
import { eventually } from "../support/cli.ts";
import { useEngine } from "../support/suite.ts";

const suite = useEngine();
const connected = (): Docker => new Docker({ socketPath: suite.engine.socket });

function collected(stream: NodeJS.ReadableStream): { text: () => string; ended: Promise<void> } {
  let text = "";
  stream.on("data", (chunk) => {
    text += chunk;
  });
  return { text: () => text, ended: new Promise((done) => stream.on("end", done).on("close", done)) };
}

test("ping, version, info", async () => {
  const docker = connected();
  expect(String(await docker.ping())).toBe("OK");
  expect((await docker.version()).Os).toBe("linux");
  expect((await docker.info()).OSType).toBe("linux");
});

test("run: output and status", async () => {
  const out = new PassThrough();
  const text = collected(out);
  const [status, container] = await connected().run("busybox", ["sh", "-c", "echo hello; exit 4"], out, {
    Tty: false,
  });
  expect(status.StatusCode).toBe(4);
  expect(text.text()).toContain("hello\n");
  await container.remove();
});

test("create, attach by hijack, demultiplex, stdin and its end, wait", async () => {
  const docker = connected();
  const container = await docker.createContainer({
    Image: "busybox",
    Cmd: ["sh", "-c", "cat; echo err >&2"],
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
  });
  const stream = await container.attach({
    stream: true,
    stdin: true,
    stdout: true,
    stderr: true,
    hijack: true,
  });
  const [out, err] = [new PassThrough(), new PassThrough()];
  const [outText, errText] = [collected(out), collected(err)];
  docker.modem.demuxStream(stream, out, err);
  await container.start();
  stream.write("through the hijacked socket\n");
  stream.end();
  expect((await container.wait()).StatusCode).toBe(0);
  await eventually(() => errText.text() === "err\n");
  expect(outText.text()).toBe("through the hijacked socket\n");
  await container.remove();
});

test("attach to a tty is raw, both ways, and resizes", async () => {
  const container = await connected().createContainer({
    Image: "busybox",
    Cmd: ["sh"],
    Tty: true,
    OpenStdin: true,
    AttachStdin: true,
  });
  const stream = await container.attach({
    stream: true,
    stdin: true,
    stdout: true,
    stderr: true,
    hijack: true,
  });
  const { text } = collected(stream);
  await container.start();
  await container.resize({ h: 33, w: 99 });
  stream.write("stty size\n");
  await eventually(() => text().includes("33 99"));
  stream.write("exit\n");
  expect((await container.wait()).StatusCode).toBe(0);
});

test("exec with hijack: stdin, output, exit code", async () => {
  const docker = connected();
  const container = await docker.createContainer({ Image: "busybox", Cmd: ["sleep", "600"] });
  await container.start();
  const exec = await container.exec({
    Cmd: ["sh", "-c", "wc -c; exit 9"],
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await exec.start({ hijack: true, stdin: true });
  const out = new PassThrough();
  const { text } = collected(out);
  docker.modem.demuxStream(stream, out, out);
  stream.write("12345");
  stream.end();
  await eventually(async () => (await exec.inspect()).Running === false);
  expect((await exec.inspect()).ExitCode).toBe(9);
  expect(text().trim()).toBe("5");
});

test("logs, followed and whole", async () => {
  const docker = connected();
  const container = await docker.createContainer({
    Image: "busybox",
    Cmd: ["sh", "-c", "echo a; sleep 0.5; echo b"],
  });
  await container.start();
  const followed = await container.logs({ follow: true, stdout: true, stderr: true });
  const out = new PassThrough();
  const { text } = collected(out);
  docker.modem.demuxStream(followed, out, out);
  await container.wait();
  await eventually(() => text() === "a\nb\n");
  expect((await container.logs({ stdout: true })).toString()).toContain("a\n");
});

test("pull with progress", async () => {
  const docker = connected();
  const stream = await docker.pull(`${suite.registry.host}/app:docker`);
  const steps = await new Promise<{ status?: string }[]>((done, broken) => {
    docker.modem.followProgress(stream, (error, output) => (error ? broken(error) : done(output)));
  });
  expect(steps.some(({ status }) => status === "Pull complete")).toBe(true);
  expect(steps.at(-1)?.status).toContain("Downloaded newer image");
  await docker.getImage(`${suite.registry.host}/app:docker`).remove();
});

test("a pull that fails is an error of the library", async () => {
  const docker = connected();
  const failing = async (): Promise<void> => {
    const stream = await docker.pull(`${suite.registry.host}/no-such:thing`);
    await new Promise<void>((done, broken) =>
      docker.modem.followProgress(stream, (error) => (error ? broken(error) : done())),
    );
  };
  expect(failing()).rejects.toThrow(/not found|unknown/);
});

test("errors carry Docker's status and message", async () => {
  const docker = connected();
  const error = (await docker
    .getContainer("nope")
    .inspect()
    .catch((reason) => reason)) as { statusCode: number; json: { message: string } };
  expect([error.statusCode, error.json.message]).toEqual([404, "No such container: nope"]);
});

test("lists with filters, networks, volumes, events", async () => {
  const docker = connected();
  const events = await docker.getEvents({ filters: { type: ["volume"] } });
  const { text } = collected(events);
  const container = await docker.createContainer({ Image: "busybox", name: "listed", Labels: { a: "b" } });
  expect(await docker.listContainers({ all: true, filters: { label: ["a=b"] } })).toMatchObject([
    { Id: container.id, Names: ["/listed"], State: "created" },
  ]);
  const network = await docker.createNetwork({ Name: "net" });
  await network.connect({ Container: container.id });
  expect((await container.inspect()).NetworkSettings.Networks).toHaveProperty("net");
  await network.disconnect({ Container: container.id });
  await network.remove();
  await docker.createVolume({ Name: "vol" });
  expect((await docker.listVolumes()).Volumes.map(({ Name }) => Name)).toEqual(["vol"]);
  await docker.getVolume("vol").remove();
  await eventually(() => text().includes('"destroy"'));
  (events as unknown as { destroy(): void }).destroy();
  expect((await docker.listImages()).flatMap(({ RepoTags }) => RepoTags)).toContain("busybox:latest");
});

test("kill, stop, restart, rename, remove", async () => {
  const container = await connected().createContainer({ Image: "busybox", Cmd: ["sleep", "600"] });
  await container.start();
  await container.restart({ t: 0 });
  await container.rename({ name: "renamed" });
  expect((await container.inspect()).Name).toBe("/renamed");
  await container.kill({ signal: "SIGKILL" });
  await container.wait();
  expect((await container.inspect()).State.ExitCode).toBe(137);
  await container.start();
  await container.stop({ t: 0 });
  await container.remove({ v: true });
});
