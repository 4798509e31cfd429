/**
 * Rules by the `nft` program: whole rule sets, atomically, and their listing. Rules are constants of the engine's
 * own; whatever comes from outside goes through the typed elements of `netlink-nftables.ts`.
 */
import { ProgramError, runProgram } from "./programs.ts";

/** The kernel refused a rule set; the message is nft's own. */
export class NftablesError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "NftablesError";
  }
}

/** Applies a script in one transaction. @throws NftablesError with nft's text; nothing is in force then */
export async function applyRules(script: string): Promise<void> {
  await runNft(["-f", "-"], script);
}

/** `inet <table>` as JSON without the elements of its sets; undefined if there is none. */
export async function listTable(table: string): Promise<readonly NftObject[] | undefined> {
  try {
    const listing: { nftables: readonly NftObject[] } = JSON.parse(
      await runNft(["-j", "-t", "list", "table", "inet", table], ""),
    );
    return listing.nftables;
  } catch (error) {
    if (error instanceof NftablesError && error.message.includes("No such file")) return undefined;
    throw error;
  }
}

/** What a listing command answers, as JSON: `["list", "chains"]`. @throws NftablesError */
export async function queryRules(command: readonly string[]): Promise<readonly NftObject[]> {
  const answer: { nftables: readonly NftObject[] } = JSON.parse(await runNft(["-j", ...command], ""));
  return answer.nftables;
}

/** One object of a listing: `{"rule":{…}}`, `{"map":{…,"elem":[…]}}`. */
export type NftObject = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Absent is fine. */
export async function deleteTable(table: string): Promise<void> {
  await applyRules(`add table inet ${table}\ndelete table inet ${table}\n`);
}

async function runNft(args: readonly string[], input: string): Promise<string> {
  try {
    return await runProgram(["nft", ...args], input);
  } catch (error) {
    throw error instanceof ProgramError ? new NftablesError(error.message) : error;
  }
}
