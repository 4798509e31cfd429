/** What stands before the API: the audit log, authorization plugins, and further sockets with fewer rights. */
import type { EngineConfig } from "../../core/config.ts";
import type { Plugins } from "../../core/plugins.ts";
import type { Endpoint } from "../../http/index.ts";
import {
  type AuditLog,
  authorizationGate,
  type Gate,
  openAuditLog,
  parseEndpoint,
  parseScopedSocket,
  type ScopedObjects,
  scopeGate,
} from "../../server/index.ts";

export interface Gates extends Disposable {
  /** For every endpoint, in this order. */
  readonly all: readonly Gate[];
  /** Sockets with scopes of their own; `all` holds for them as well. */
  readonly scoped: readonly { readonly endpoint: Endpoint; readonly gates: readonly Gate[] }[];
  /** After the log was moved away. */
  reopen(): void;
}

/** @throws InvalidParameterError for a scope that makes no sense; what opening the audit log throws */
export function openGates(
  config: EngineConfig,
  engine: { readonly plugins: Plugins; readonly scopedObjects: ScopedObjects; config(): EngineConfig },
): Gates {
  const scopes = config.scopedSockets.map(parseScopedSocket);
  const audit: AuditLog | undefined =
    config.auditLog === undefined ? undefined : openAuditLog(config.auditLog);
  // Calls that are refused are written down too.
  const first: Gate[] = audit ? [audit] : [];
  const authorization = authorizationGate(engine.plugins, () => engine.config().authorizationPlugins);
  return {
    all: [...first, authorization],
    scoped: scopes.map(({ host, group, scope }) => ({
      endpoint: { ...(parseEndpoint(host) as Extract<Endpoint, { kind: "unix" }>), group },
      gates: [...first, scopeGate(scope, engine.scopedObjects), authorization],
    })),
    reopen: () => audit?.reopen(),
    [Symbol.dispose]: () => audit?.[Symbol.dispose](),
  };
}
