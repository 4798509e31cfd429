/**
 * Getting along with firewalls of others (dockerd, ufw, firewalld, an administrator's own): a packet that our table lets
 * through is still dropped where another chain drops what it forwards. While containers run, our links are let through
 * there as well: in the place that the other one keeps for guests, else by two rules in front. All carry the engine's
 * tag, are looked after, and go with the last container. With `respect` nothing is changed and only told.
 */
import { existsSync, readFileSync } from "node:fs";
import { log } from "../../../base/log.ts";
import { applyRules, queryRules } from "../../../linux/nftables.ts";
import { runProgram } from "../../../linux/programs.ts";
import { type ForwardChain, forwardChains, isIptables, readIptables, readNativeRules } from "./chains.ts";

/** What was found, and what was done about it. */
export interface Neighbour {
  readonly owner: "docker" | "ufw" | "firewalld" | "iptables" | "nftables";
  /** `ip filter FORWARD` */
  readonly chain: string;
  /** Where our links are let through; undefined: nowhere, since no container runs or the host's policy is respected. */
  readonly place: string | undefined;
}

export interface CoexistenceOptions {
  /** `gantry-<instance>`: the tag of our rules, and the name of our table. */
  readonly tag: string;
  /** Of the links that are ours. */
  readonly group: number;
  readonly respect: boolean;
}

interface Wanted {
  readonly open: boolean;
  /** Links of ours that are in no group: bridges that somebody else made. */
  readonly names: readonly string[];
}

export class Coexistence {
  readonly #options: CoexistenceOptions;
  #found: readonly Neighbour[] = [];
  #opened = "";
  #complained = "";
  #work: Promise<void> = Promise.resolve();

  constructor(options: CoexistenceOptions) {
    this.#options = options;
  }

  get neighbours(): readonly Neighbour[] {
    return this.#found;
  }

  /** Somebody drops what we forward, or did when it was last looked. */
  get isNeeded(): boolean {
    return this.#found.length > 0;
  }

  /** True if that is how things were left. */
  isSettled({ open, names }: Wanted): boolean {
    return !this.isNeeded || this.#opened === String([open, ...names]);
  }

  /** Looks at what others have, and lets our links through or not any more. Never rejects. */
  async settle(wanted: Wanted): Promise<void> {
    this.#work = this.#work.then(() => this.#settle(wanted));
    await this.#work;
  }

  /** The engine ends: another process takes our rules away, since nobody waits for this one. */
  leave(): void {
    const { tag } = this.#options;
    for (const { place } of this.#found) {
      if (!place) continue;
      const [family = "", table, chain] = place.split(" ");
      const isTables = table === "filter" && family !== "inet";
      const program = isTables ? iptablesFor(family as "ip" | "ip6", [toForward(family)]) : undefined;
      if (program) leaveIptables(program, tag);
      else leaveNative(`${family} ${table} ${chain}`, tag);
    }
    this.#found = [];
  }

  async #settle(wanted: Wanted): Promise<void> {
    const open = wanted.open && !this.#options.respect;
    try {
      const listing = await queryRules(["list", "chains"]);
      const chains = forwardChains(listing, "gantry-");
      const found: Neighbour[] = [];
      for (const family of ["ip", "ip6"] as const) {
        const program = iptablesFor(family, chains);
        if (program) found.push(...(await this.#settleIptables(program, family, { ...wanted, open })));
      }
      for (const chain of chains.filter((candidate) => !isIptables(candidate)))
        found.push(...(await this.#settleNative(chain, { ...wanted, open })));
      this.#tell(found);
      this.#found = found;
      this.#opened = String([wanted.open, ...wanted.names]);
      this.#complained = "";
    } catch (error) {
      const reason = String(error);
      if (this.#complained !== reason)
        log("error", "containers may be cut off: another firewall's chains cannot be read or changed", {
          error,
        });
      this.#complained = reason;
    }
  }

  async #settleIptables(
    program: string,
    family: "ip" | "ip6",
    { open, names }: Wanted,
  ): Promise<Neighbour[]> {
    const { tag, group } = this.#options;
    const rules = readIptables(await runProgram([program, "-w", "5", "-S"]), tag);
    const { owner, place, position, drops } = rules;
    const matches = [
      ["-m", "devgroup", "--src-group", `0x${group.toString(16)}`],
      ["-m", "devgroup", "--dst-group", `0x${group.toString(16)}`],
      ...names.flatMap((name) => [
        ["-i", name],
        ["-o", name],
      ]),
    ];
    const count = open && drops ? matches.length : 0;
    const inPlace = rules.tagged.filter((line) => line.startsWith(`-A ${place} `));
    if (inPlace.length !== count || rules.tagged.length !== count) {
      for (const line of rules.tagged) await runProgram([program, "-w", "5", ...toDeletion(line)]);
      for (const match of count > 0 ? matches : [])
        await runProgram([
          ...[program, "-w", "5", "-I", place, String(position), ...match],
          ...["-m", "comment", "--comment", tag, "-j", "ACCEPT"],
        ]);
    }
    if (!drops) return [];
    return [
      { owner, chain: `${family} filter FORWARD`, place: open ? `${family} filter ${place}` : undefined },
    ];
  }

  async #settleNative(chain: ForwardChain, { open, names }: Wanted): Promise<Neighbour[]> {
    const { tag, group } = this.#options;
    const place = `${chain.family} ${chain.table} ${chain.name}`;
    const rules = readNativeRules(await queryRules(["-a", "list", "chain", ...place.split(" ")]), tag);
    const drops = chain.drops || rules.drops;
    const matches = [
      ...[`iifgroup ${group}`, `oifgroup ${group}`],
      ...names.flatMap((name) => [`iifname "${name}"`, `oifname "${name}"`]),
    ];
    const count = open && drops ? matches.length : 0;
    if (rules.tagged.length !== count)
      await applyRules(
        [
          ...rules.tagged.map((handle) => `delete rule ${place} handle ${handle}`),
          ...(count > 0 ? matches : []).map(
            (match) => `insert rule ${place} ${match} accept comment "${tag}"`,
          ),
        ].join("\n"),
      );
    if (!drops) return [];
    const owner = chain.table === "firewalld" ? "firewalld" : "nftables";
    return [{ owner, chain: place, place: open ? place : undefined }];
  }

  /** Once for each change. */
  #tell(found: readonly Neighbour[]): void {
    if (JSON.stringify(found) === JSON.stringify(this.#found)) return;
    for (const { owner, chain, place } of found) {
      if (place)
        log("info", "another firewall drops what it forwards: our links are let through", {
          owner,
          chain,
          place,
        });
      else if (this.#options.respect)
        log("warn", "another firewall drops what it forwards, and it is respected", { owner, chain });
    }
  }
}

/** The program that keeps the table, where there is one with rules in it. Listing with another one would make it. */
function iptablesFor(family: "ip" | "ip6", chains: readonly ForwardChain[]): string | undefined {
  const name = family === "ip" ? "iptables" : "ip6tables";
  if (chains.some((chain) => isIptables(chain) && chain.family === family))
    return Bun.which(`${name}-nft`) ?? Bun.which(name) ?? undefined;
  const legacy = `/proc/net/${family}_tables_names`;
  const isUsed = existsSync(legacy) && readFileSync(legacy, "utf8").split("\n").includes("filter");
  return isUsed ? (Bun.which(`${name}-legacy`) ?? Bun.which(name) ?? undefined) : undefined;
}

function toForward(family: string): ForwardChain {
  return { family: family as "ip" | "ip6", table: "filter", name: "FORWARD", drops: true };
}

function leaveIptables(program: string, tag: string): void {
  const saved = Bun.spawnSync([program, "-w", "5", "-S"]).stdout.toString();
  for (const line of readIptables(saved, tag).tagged)
    Bun.spawnSync([program, "-w", "5", ...toDeletion(line)]);
}

function leaveNative(place: string, tag: string): void {
  const listed = Bun.spawnSync(["nft", "-j", "-a", "list", "chain", ...place.split(" ")]).stdout.toString();
  if (listed === "") return; // it has gone, and our rules with it
  const { tagged } = readNativeRules((JSON.parse(listed) as { nftables: [] }).nftables, tag);
  for (const handle of tagged)
    Bun.spawnSync(["nft", "delete", "rule", ...place.split(" "), "handle", String(handle)]);
}

/** `-A CHAIN …` of a saved rule → the arguments that delete it. */
function toDeletion(line: string): string[] {
  return line.replace(/^-A/, "-D").replaceAll('"', "").split(" ");
}
