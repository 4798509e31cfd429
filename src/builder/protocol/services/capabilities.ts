/**
 * What this builder can do, in the ids that clients ask for. Only what is there is named: clients do without the rest, or
 * say what is missing.
 */
import type { Cap } from "../messages/gateway.ts";
import type { Value } from "../wire/message.ts";

const FRONTEND = [
  "frontend.caps",
  "frontend.inputs",
  "gateway.evaluate",
  "gateway.solve.evaluate",
  "gateway.solve.metadata",
  "gateway.warnings",
  "importcaches",
  "proto.refarray",
  "readdir",
  "readfile",
  "reference.attestations",
  "reference.output",
  "resolveimage",
  "resolveimage.resolvemode",
  "return",
  "returnmap",
  "solve.base",
  "solve.inlinereturn",
  "source.metaresolver",
  "statfile",
];

const LLB = [
  "constraints",
  "diffop",
  "exec.mount.bind",
  "exec.mount.bind.readwrite-nooutput",
  "exec.mount.cache",
  "exec.mount.cache.content",
  "exec.mount.cache.sharing",
  "exec.mount.secret",
  "exec.mount.selector",
  "exec.mount.ssh",
  "exec.mount.tmpfs",
  "exec.mount.tmpfs.size",
  "exec.cgroup",
  "exec.meta.base",
  "exec.meta.cgroup.parent",
  "exec.meta.linux.resources",
  "exec.meta.network",
  "exec.meta.proxyenv",
  "exec.meta.removemountstubs.recursive",
  "exec.meta.security",
  "exec.meta.setsdefaultpath",
  "exec.meta.ulimit",
  "exec.secretenv",
  "exec.validexitcode",
  "exporter.multiple",
  "exporter.sourcedateepoch",
  "file.base",
  "file.copy.alwaysreplaceexistingdestpaths",
  "file.copy.includeexcludepatterns",
  "file.copy.requiredpaths",
  "file.rm.nofollowsymlink",
  "file.rm.wildcard",
  "file.symlink.create",
  "mergeop",
  "meta.description",
  "meta.exportcache",
  "meta.ignorecache",
  "platform",
  "source.http",
  "source.http.auth",
  "source.http.checksum",
  "source.http.header",
  "source.http.perm",
  // Misspelt in BuildKit, and so in its clients.
  "soruce.http.uidgid",
  "source.image",
  "source.image.checksum",
  "source.image.layerlimit",
  "source.image.resolvemode",
  "source.local",
  "source.local.differ",
  "source.local.excludepatterns",
  "source.local.followpaths",
  "source.local.includepatterns",
  "source.local.sessionid",
  "source.local.sharedkeyhint",
  "source.local.unique",
];

export const frontendCapabilities = capabilitiesOf(FRONTEND);
export const llbCapabilities = capabilitiesOf(LLB);

function capabilitiesOf(ids: readonly string[]): Value<typeof Cap>[] {
  return [...ids].sort().map((id) => ({
    id,
    enabled: true,
    deprecated: false,
    disabledReason: "",
    disabledReasonMsg: "",
    disabledAlternative: "",
  }));
}
