import { tagImage } from "../../../client/images.ts";
import { defineCommand, exactly } from "../../command.ts";
import { parseReference } from "../../values/reference.ts";

export const command = defineCommand({
  use: "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  short: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
  aliases: "image tag, tag",
  args: exactly(2),
  flags: {},
  async run({ args: [source = "", target = ""], cli }) {
    const reference = parse(
      target,
      `Error parsing reference: ${JSON.stringify(target)} is not a valid repository/tag`,
    );
    parse(source, `Error parsing reference: ${JSON.stringify(source)} is not a valid repository/tag`);
    if (reference.digest !== undefined) throw new Error("refusing to create a tag with a digest reference");
    await tagImage(cli.engine, source, {
      repo: `${reference.domain}/${reference.path}`,
      tag: reference.tag ?? "latest",
    });
  },
});

function parse(text: string, complaint: string): ReturnType<typeof parseReference> {
  try {
    return parseReference(text);
  } catch (cause) {
    if (/^[a-f0-9]{64}$/.test(text)) return { domain: "", path: text };
    throw new Error(`${complaint}: ${(cause as Error).message}`, { cause });
  }
}
