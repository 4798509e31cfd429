/** All commands by name. Each is loaded when it is called: a client must not pay for the others. */
import type { Command } from "./command.ts";

export interface CommandEntry {
  readonly load: () => Promise<{ readonly command: Command }>;
  readonly aliases?: readonly string[];
  /** Shown among the common commands of the root's help, in that order. */
  readonly common?: number;
  /** Left out of help. */
  readonly hidden?: boolean;
}

export interface CommandGroup {
  readonly short: string;
  /** What its usage says after the name; most say nothing. */
  readonly use?: string;
  readonly commands: Readonly<Record<string, CommandEntry>>;
}

type Loaded = ReturnType<CommandEntry["load"]>;
const entry = (load: () => Loaded, options: Omit<CommandEntry, "load"> = {}): CommandEntry => ({
  load,
  ...options,
});

const attach = entry(() => import("./commands/container/attach.ts"));
const commit = entry(() => import("./commands/container/commit.ts"));
const cp = entry(() => import("./commands/container/cp.ts"));
const build = entry(() => import("./commands/image/build.ts"), { common: 4 });
const create = entry(() => import("./commands/container/create.ts"));
const exec = entry(() => import("./commands/container/exec.ts"), { common: 2 });
const diff = entry(() => import("./commands/container/diff.ts"));
const exporting = entry(() => import("./commands/container/export.ts"));
const kill = entry(() => import("./commands/container/kill.ts"));
const logs = entry(() => import("./commands/container/logs.ts"));
const pause = entry(() => import("./commands/container/pause.ts"));
const port = entry(() => import("./commands/container/port.ts"));
const ps = () => import("./commands/container/ls.ts");
const rename = entry(() => import("./commands/container/rename.ts"));
const restart = entry(() => import("./commands/container/restart.ts"));
const rm = () => import("./commands/container/rm.ts");
const run = entry(() => import("./commands/container/run.ts"), { common: 1 });
const start = entry(() => import("./commands/container/start.ts"));
const stats = entry(() => import("./commands/container/stats.ts"));
const stop = entry(() => import("./commands/container/stop.ts"));
const top = entry(() => import("./commands/container/top.ts"));
const unpause = entry(() => import("./commands/container/unpause.ts"));
const update = entry(() => import("./commands/container/update.ts"));
const wait = entry(() => import("./commands/container/wait.ts"));
const images = () => import("./commands/image/ls.ts");
const history = entry(() => import("./commands/image/history.ts"));
const importing = entry(() => import("./commands/image/import.ts"));
const load = entry(() => import("./commands/image/load.ts"));
const push = entry(() => import("./commands/image/push.ts"), { common: 6 });
const save = entry(() => import("./commands/image/save.ts"));
const pull = entry(() => import("./commands/image/pull.ts"), { common: 5 });
const rmi = () => import("./commands/image/rm.ts");
const tag = entry(() => import("./commands/image/tag.ts"));
const events = entry(() => import("./commands/system/events.ts"));
const info = entry(() => import("./commands/system/info.ts"), { common: 12 });

export const groups: Readonly<Record<string, CommandGroup>> = {
  container: {
    short: "Manage containers",
    commands: {
      attach,
      commit,
      cp,
      create,
      diff,
      exec,
      export: exporting,
      inspect: entry(() => import("./commands/container/inspect.ts")),
      kill,
      logs,
      ls: entry(ps, { aliases: ["ps", "list"] }),
      pause,
      port,
      prune: entry(() => import("./commands/container/prune.ts")),
      rename,
      restart,
      rm: entry(rm, { aliases: ["remove"] }),
      run,
      start,
      stats,
      stop,
      top,
      unpause,
      update,
      wait,
    },
  },
  context: {
    short: "Manage contexts",
    commands: {
      create: entry(() => import("./commands/context/create.ts")),
      export: entry(() => import("./commands/context/export.ts")),
      import: entry(() => import("./commands/context/import.ts")),
      inspect: entry(() => import("./commands/context/inspect.ts")),
      ls: entry(() => import("./commands/context/ls.ts"), { aliases: ["list"] }),
      rm: entry(() => import("./commands/context/rm.ts"), { aliases: ["remove"] }),
      show: entry(() => import("./commands/context/show.ts")),
      update: entry(() => import("./commands/context/update.ts")),
      use: entry(() => import("./commands/context/use.ts")),
    },
  },
  image: {
    short: "Manage images",
    commands: {
      build,
      history,
      import: importing,
      inspect: entry(() => import("./commands/image/inspect.ts")),
      load,
      ls: entry(images, { aliases: ["list"] }),
      prune: entry(() => import("./commands/image/prune.ts")),
      pull,
      push,
      rm: entry(rmi, { aliases: ["rmi", "remove"] }),
      save,
      tag,
    },
  },
  network: {
    short: "Manage networks",
    commands: {
      connect: entry(() => import("./commands/network/connect.ts")),
      create: entry(() => import("./commands/network/create.ts")),
      disconnect: entry(() => import("./commands/network/disconnect.ts")),
      inspect: entry(() => import("./commands/network/inspect.ts")),
      ls: entry(() => import("./commands/network/ls.ts"), { aliases: ["list"] }),
      prune: entry(() => import("./commands/network/prune.ts")),
      rm: entry(() => import("./commands/network/rm.ts"), { aliases: ["remove"] }),
    },
  },
  registry: {
    short: "Run and manage a registry",
    commands: {
      grant: entry(() => import("./commands/registry/grant.ts")),
      group: entry(() => import("./commands/registry/group.ts")),
      repo: entry(() => import("./commands/registry/repo.ts")),
      serve: entry(() => import("./commands/registry/serve.ts")),
      token: entry(() => import("./commands/registry/token.ts")),
      user: entry(() => import("./commands/registry/user.ts")),
    },
  },
  system: {
    short: "Manage Docker",
    commands: {
      df: entry(() => import("./commands/system/df.ts")),
      "dial-stdio": entry(() => import("./commands/system/dial-stdio.ts"), { hidden: true }),
      events,
      info,
    },
  },
  volume: {
    short: "Manage volumes",
    use: "COMMAND",
    commands: {
      create: entry(() => import("./commands/volume/create.ts")),
      inspect: entry(() => import("./commands/volume/inspect.ts")),
      ls: entry(() => import("./commands/volume/ls.ts"), { aliases: ["list"] }),
      prune: entry(() => import("./commands/volume/prune.ts")),
      rm: entry(() => import("./commands/volume/rm.ts"), { aliases: ["remove"] }),
    },
  },
};

export const topLevel: Readonly<Record<string, CommandEntry>> = {
  attach,
  build,
  commit,
  cp,
  create,
  diff,
  events,
  exec,
  export: exporting,
  history,
  images: entry(images, { common: 7 }),
  import: importing,
  info,
  inspect: entry(() => import("./commands/system/inspect.ts")),
  kill,
  load,
  login: entry(() => import("./commands/system/login.ts"), { common: 8 }),
  logout: entry(() => import("./commands/system/logout.ts"), { common: 9 }),
  logs,
  pause,
  port,
  ps: entry(ps, { common: 3 }),
  pull,
  push,
  rename,
  restart,
  rm: entry(rm),
  rmi: entry(rmi),
  run,
  save,
  search: entry(() => import("./commands/system/search.ts"), { common: 11 }),
  start,
  stats,
  stop,
  tag,
  top,
  unpause,
  update,
  version: entry(() => import("./commands/system/version.ts"), { common: 10 }),
  wait,
};

/** Finds by name or alias. */
export function findCommand(
  commands: Readonly<Record<string, CommandEntry>>,
  name: string,
): { readonly name: string; readonly entry: CommandEntry } | undefined {
  const direct = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (direct) return { name, entry: direct };
  for (const [canonical, candidate] of Object.entries(commands)) {
    if (candidate.aliases?.includes(name)) return { name: canonical, entry: candidate };
  }
  return undefined;
}

/** Names and aliases of what help shows. */
export function namesOf(commands: Readonly<Record<string, CommandEntry>>): string[] {
  const shown = Object.entries(commands).filter(([, { hidden }]) => !hidden);
  return shown.flatMap(([name, { aliases = [] }]) => [name, ...aliases]);
}
