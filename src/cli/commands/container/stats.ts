import { containerStats, listContainers, type StatsDocument } from "../../../client/containers.ts";
import { events } from "../../../client/system.ts";
import { type Cli, defineCommand, messageOf } from "../../command.ts";
import { listFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { formatList } from "../../formats/formatter.ts";
import { type StatsEntry, statsHeaders, statsRow, toStatsEntry } from "../../formats/stats.ts";

const TABLE =
  "table {{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}\\t{{.MemPerc}}\\t{{.NetIO}}\\t{{.BlockIO}}\\t{{.PIDs}}";
/** Of the screen. Milliseconds. */
const REFRESH = 500;
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_REST = "\x1b[J";
const CLEAR_SCREEN = "\x1b[2J";

export const command = defineCommand({
  use: "stats [OPTIONS] [CONTAINER...]",
  short: "Display a live stream of container(s) resource usage statistics",
  aliases: "container stats, stats",
  args: { kind: "atLeast", count: 0 },
  flags: {
    all: bool({ short: "a", usage: "Show all containers (default shows just running)" }),
    format: listFormatFlag,
    "no-stream": bool({ usage: "Disable streaming stats and only pull the first result" }),
    "no-trunc": bool({ usage: "Do not truncate output" }),
  },
  async run({ flags, args, cli }) {
    const custom = flags.format || (cli.config.settings.statsFormat ?? "");
    const format = custom === "" || custom === "table" ? TABLE : custom;
    const watched = new Watched(cli, { stream: !flags["no-stream"] });
    const names = args.length > 0 ? args : await namesOf(cli, flags.all);
    for (const name of names) watched.add(name);
    const show = (): string =>
      formatList(
        { format, headers: statsHeaders },
        watched.entries().map((entry) => statsRow(entry, { truncate: !flags["no-trunc"] })),
      );
    if (flags["no-stream"]) {
      await watched.settled();
      watched.throwFirst();
      cli.stdout.write(show());
      return;
    }
    if (args.length === 0) void followStarts(cli, watched, flags.all);
    await watched.first();
    watched.throwFirst();
    if (cli.stdout.isTerminal) cli.stdout.write(CLEAR_SCREEN);
    while (args.length === 0 || watched.active) {
      await cli.stdout.stream(Buffer.from(onScreen(show(), cli.stdout.isTerminal)));
      await Bun.sleep(REFRESH);
    }
  },
});

/** Line by line over what was there, so that nothing flickers. */
function onScreen(text: string, terminal: boolean): string {
  return terminal ? `${HOME}${text.replaceAll("\n", `${CLEAR_LINE}\n`)}${CLEAR_REST}` : text;
}

async function namesOf(cli: Cli, all: boolean): Promise<string[]> {
  return (await listContainers(cli.engine, { all })).map(({ Id }) => Id ?? "");
}

/** Those that start, or are made, are shown as well; those that end leave. */
async function followStarts(cli: Cli, watched: Watched, all: boolean): Promise<void> {
  const messages = await events(cli.engine, { filters: { type: ["container"] } });
  for await (const { Action = "", Actor } of messages) {
    const id = Actor?.ID ?? "";
    if (Action === "start" || (all && Action === "create")) watched.add(id);
    if (Action === "destroy" || (!all && Action === "die")) watched.remove(id);
  }
}

/** What is watched, by the name that was given, with the newest that is known of each. */
class Watched {
  readonly #cli: Cli;
  readonly #stream: boolean;
  readonly #entries = new Map<string, StatsEntry>();
  readonly #reading = new Map<string, { readonly abort: AbortController; readonly done: Promise<void> }>();
  readonly #errors: Error[] = [];

  constructor(cli: Cli, { stream }: { readonly stream: boolean }) {
    this.#cli = cli;
    this.#stream = stream;
  }

  get active(): boolean {
    return this.#reading.size > 0;
  }

  add(name: string): void {
    if (this.#reading.has(name)) return;
    const abort = new AbortController();
    const done = this.#read(name, abort.signal).finally(() => this.#reading.delete(name));
    this.#reading.set(name, { abort, done });
  }

  remove(name: string): void {
    this.#reading.get(name)?.abort.abort();
    this.#entries.delete(name);
  }

  entries(): StatsEntry[] {
    return [...this.#entries.values()];
  }

  /** Settles when nothing more comes. */
  async settled(): Promise<void> {
    await Promise.all([...this.#reading.values()].map(({ done }) => done));
  }

  /** Settles when there is something to show of each, or no more will come. */
  async first(): Promise<void> {
    while ([...this.#reading.keys()].some((name) => !this.#entries.has(name))) await Bun.sleep(10);
  }

  /** @throws the first of what went wrong */
  throwFirst(): void {
    const [error] = this.#errors;
    if (error) throw error;
  }

  async #read(name: string, signal: AbortSignal): Promise<void> {
    let before: StatsDocument | undefined;
    try {
      const documents = await containerStats(this.#cli.engine, name, { stream: this.#stream, signal });
      for await (const document of documents) {
        if (signal.aborted) return;
        this.#entries.set(name, toStatsEntry(name, document, before));
        before = document;
      }
    } catch (error) {
      if (!signal.aborted) this.#errors.push(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }
}
