/**
 * Firewalls of others, as their rules show them: which chains drop what we forward, and where in them guests have their
 * place. Pure.
 */

/** A base chain of somebody else that sees forwarded packets. */
export interface ForwardChain {
  readonly family: "ip" | "ip6" | "inet";
  readonly table: string;
  readonly name: string;
  readonly drops: boolean;
}

/** One object of `nft -j`. */
type Listed = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** @param listing of `nft -j list chains` @param own the prefix of our tables' names */
export function forwardChains(listing: readonly Listed[], own: string): ForwardChain[] {
  return listing.flatMap(({ chain }) => {
    if (chain?.hook !== "forward" || chain.type !== "filter") return [];
    const { family, table, name } = chain;
    if (family !== "ip" && family !== "ip6" && family !== "inet") return [];
    if (String(table).startsWith(own)) return [];
    return [{ family, table: String(table), name: String(name), drops: chain.policy === "drop" }];
  });
}

/** The table that the iptables programs keep in nftables: only they may change it, or they cannot read it any more. */
export function isIptables({ family, table, name }: ForwardChain): boolean {
  return family !== "inet" && table === "filter" && name === "FORWARD";
}

export interface NativeRules {
  /** Something in it drops or rejects whatever comes that far. */
  readonly drops: boolean;
  /** Handles of rules that carry the tag. */
  readonly tagged: readonly number[];
}

/** @param listing of `nft -j list chain …` */
export function readNativeRules(listing: readonly Listed[], tag: string): NativeRules {
  const rules = listing.flatMap(({ rule }) => (rule ? [rule] : []));
  const isFinal = (rule: Readonly<Record<string, unknown>>) => {
    const statements = Array.isArray(rule.expr) ? (rule.expr as Readonly<Record<string, unknown>>[]) : [];
    return (
      statements.every((statement) =>
        ["drop", "reject", "counter", "log"].some((name) => Object.hasOwn(statement, name)),
      ) &&
      statements.some((statement) => Object.hasOwn(statement, "drop") || Object.hasOwn(statement, "reject"))
    );
  };
  return {
    drops: rules.some(isFinal),
    tagged: rules.flatMap(({ comment, handle }) => (comment === tag ? [Number(handle)] : [])),
  };
}

/** What `iptables -S` says of the chains that forward. */
export interface IptablesRules {
  readonly drops: boolean;
  /** Whose firewall it is, as far as its chains tell. */
  readonly owner: "docker" | "ufw" | "iptables";
  /** The chain that guests' rules belong into. */
  readonly place: string;
  /** Number of the rule in that chain before which ours stand. */
  readonly position: number;
  /** The rules that carry the tag, as `-S` writes them: `-A CHAIN …`. */
  readonly tagged: readonly string[];
}

/** @see https://docs.docker.com/engine/network/packet-filtering-firewalls/#add-iptables-policies-before-rules-for-containers */
export function readIptables(saved: string, tag: string): IptablesRules {
  const lines = saved.split("\n").filter((line) => line !== "");
  const tagged = lines.filter((line) => isTagged(line, tag));
  const rules = lines.filter((line) => !isTagged(line, tag));
  const drops = rules.some(
    (line) =>
      line === "-P FORWARD DROP" ||
      /^-A FORWARD(?: -m comment --comment (?:"[^"]*"|\S+))? -j (?:DROP|REJECT)\b/.test(line),
  );
  const jumps = (chain: string) => rules.some((line) => /^-A /.test(line) && line.endsWith(` -j ${chain}`));
  const ufw = ["ufw-user-forward", "ufw6-user-forward"].find(jumps);
  if (jumps("DOCKER-USER"))
    return { drops, tagged, owner: "docker", place: "DOCKER-USER", position: endOf(rules, "DOCKER-USER") };
  if (ufw) return { drops, tagged, owner: "ufw", place: ufw, position: endOf(rules, ufw) };
  return { drops, tagged, owner: "iptables", place: "FORWARD", position: 1 };
}

/** After the administrator's rules, before the RETURN that older programs end the chain with. */
function endOf(rules: readonly string[], chain: string): number {
  const own = rules.filter((line) => line.startsWith(`-A ${chain} `));
  const last = own.at(-1) === `-A ${chain} -j RETURN` ? own.length : own.length + 1;
  return last;
}

function isTagged(line: string, tag: string): boolean {
  return line.includes(`--comment ${tag} `) || line.includes(`--comment "${tag}" `);
}
