/**
 * Port: programs outside that serve the engine: volume, network, IPAM, log and authorization plugins. A plugin is
 * called by method with JSON, as Docker's plugin protocol has it; what the methods mean is their callers' business.
 * @see https://docs.docker.com/engine/extend/plugin_api/
 */

/** What a plugin says that it implements. */
export type PluginInterface =
  | "VolumeDriver"
  | "NetworkDriver"
  | "IpamDriver"
  | "LogDriver"
  | "authz"
  | "metricscollector";

export interface PluginCallOptions {
  /** Milliseconds for all of it, tries to reach the plugin included. 10,000 unless given. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** A plugin that was found and has told what it implements. */
export interface Plugin {
  readonly name: string;
  readonly interfaces: readonly string[];
  /**
   * `VolumeDriver.Create` → its reply. While nobody listens it is tried again, with growing pauses; once the request
   * has gone out it is not, for it may have been done.
   * @param args sent as JSON; nothing is sent for undefined
   * @throws PluginError with the plugin's own words if it answers with one; UnavailableError if it does not answer in
   *   time; the signal's reason
   */
  call<T extends object>(method: string, args?: object, options?: PluginCallOptions): Promise<T>;
  /** The same for replies that are no JSON (`LogDriver.ReadLogs`): the body as it comes. The time limit is for its head. */
  stream(method: string, args?: object, options?: PluginCallOptions): Promise<AsyncIterable<Uint8Array>>;
}

export interface Plugins {
  /**
   * A plugin by name, of those that were registered or that are found now.
   * @param options.patience milliseconds to wait for one that is not there yet; 0 unless given
   * @throws NotFoundError if there is none, or it implements something else; UnavailableError if it does not answer
   */
  get(
    name: string,
    implementing: PluginInterface,
    options?: PluginCallOptions & { readonly patience?: number },
  ): Promise<Plugin>;
  /** All that can be found and answer; those that do not are left out, with a word in the log. */
  all(implementing: PluginInterface, options?: PluginCallOptions): Promise<readonly Plugin[]>;
  /** Makes one known that is not found in directories: one that the engine runs itself. Disposing forgets it. */
  register(plugin: PluginAddress): Disposable;
}

export interface PluginAddress {
  readonly name: string;
  /** `unix:///run/x.sock`, `http://127.0.0.1:1`, `tcp://127.0.0.1:1`, `https://…`. */
  readonly address: string;
  readonly tls?: PluginTls;
}

/** PEM texts. */
export interface PluginTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Takes whatever certificate the plugin shows. */
  readonly insecure: boolean;
}
