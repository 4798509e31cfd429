/**
 * Authorization plugins: each is asked before a call executes, and before its reply is sent. It sees what executes (the
 * path as it was understood, the body as it will be decoded), or the request is refused.
 * @see https://docs.docker.com/engine/extend/plugins_authorization/, moby pkg/authorization
 */
import { log } from "../../base/log.ts";
import { ForbiddenError, messageOf, SystemError } from "../../core/errors.ts";
import type { Plugin, Plugins } from "../../core/plugins.ts";
import { canonicalJson } from "./canonical-json.ts";
import type { Gate, GatedCall, GatedReply } from "./gate.ts";

interface PluginAnswer {
  readonly Allow?: boolean;
  readonly Msg?: string;
}

type PluginRequest = Readonly<Record<string, unknown>>;

/** Credentials are nobody's business. */
const SECRET_HEADERS = new Set(["authorization", "x-registry-auth", "x-registry-config"]);

/** @param names the plugins that are asked, in this order, as they are now: all must allow */
export function authorizationGate(plugins: Plugins, names: () => readonly string[]): Gate {
  const requests = new WeakMap<GatedCall, PluginRequest>();
  return {
    async enter(call) {
      if (names().length === 0) return;
      const request = await toRequest(call);
      requests.set(call, request);
      await ask(plugins, names(), "AuthZPlugin.AuthZReq", request);
    },
    async leave(call, reply) {
      const request = requests.get(call);
      if (!request || names().length === 0) return undefined;
      await ask(plugins, names(), "AuthZPlugin.AuthZRes", { ...request, ...toResponse(call, reply) });
      return undefined;
    },
    idle: () => names().length === 0,
  };
}

async function ask(
  plugins: Plugins,
  names: readonly string[],
  method: string,
  request: PluginRequest,
): Promise<void> {
  for (const name of names) {
    let answer: PluginAnswer;
    try {
      const plugin: Plugin = await plugins.get(name, "authz");
      answer = await plugin.call<PluginAnswer>(method, request);
    } catch (error) {
      log("error", "an authorization plugin failed", { plugin: name, method, error });
      throw new SystemError(`plugin ${name} failed with error: ${messageOf(error)}`, {
        subject: name,
        cause: error,
      });
    }
    if (answer.Allow === true) continue;
    throw new ForbiddenError(`authorization denied by plugin ${name}: ${answer.Msg ?? ""}`, {
      subject: name,
    });
  }
}

async function toRequest(call: GatedCall): Promise<PluginRequest> {
  const { certificateName, certificate } = call.peer;
  const body = await canonicalBody(call);
  return {
    ...(certificateName && { User: certificateName, UserAuthNMethod: "TLS" }),
    RequestMethod: call.method,
    RequestUri: call.uri,
    ...(body !== undefined && !isAuthentication(call) && { RequestBody: base64(body) }),
    RequestHeaders: headersOf(call),
    ...(certificate && { RequestPeerCertificates: [base64(toPem(certificate))] }),
  };
}

/** What the plugin reads is what the handler decodes. */
async function canonicalBody(call: GatedCall): Promise<string | undefined> {
  if (call.route.body !== "json") return undefined;
  const text = await call.bodyText();
  if (text === undefined) return undefined;
  const canonical = canonicalJson(text);
  call.replaceBody(canonical);
  return canonical;
}

function toResponse(call: GatedCall, { status, headers, body }: GatedReply): PluginRequest {
  return {
    ResponseStatusCode: status,
    ...(body !== "" && !isAuthentication(call) && { ResponseBody: base64(body) }),
    ResponseHeaders: Object.fromEntries(headers),
  };
}

/** Its bodies are passwords and tokens. */
function isAuthentication({ operation }: GatedCall): boolean {
  return operation === "SystemAuth";
}

/** Names as Go writes them; of repeated ones the last, as Docker hands them over. */
function headersOf({ headers }: GatedCall): Record<string, string> {
  const shown = [...headers].filter(([name]) => !SECRET_HEADERS.has(name));
  return Object.fromEntries(shown.map(([name, values]) => [canonicalName(name), values.at(-1) ?? ""]));
}

function canonicalName(name: string): string {
  return name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase());
}

function toPem(certificate: Uint8Array): string {
  const lines =
    Buffer.from(certificate)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
