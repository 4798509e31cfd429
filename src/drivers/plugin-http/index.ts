/** Docker's plugin protocol, version 1: finds plugins, asks what they implement, and keeps that while they answer. */
import { setTimeout as pause } from "node:timers/promises";
import { log } from "../../base/log.ts";
import { NotFoundError, UnavailableError } from "../../core/errors.ts";
import type {
  Plugin,
  PluginAddress,
  PluginCallOptions,
  PluginInterface,
  Plugins,
} from "../../core/plugins.ts";
import { callPlugin, streamPlugin } from "./client.ts";
import { DOCKER_DIRECTORIES, findPlugin, listPlugins, type PluginDirectories } from "./discovery.ts";

export { DOCKER_DIRECTORIES, type PluginDirectories } from "./discovery.ts";

/** Milliseconds between two looks for a plugin that is not there yet. */
const LOOK_INTERVAL = 200;

export class HttpPlugins implements Plugins {
  readonly #directories: PluginDirectories;
  readonly #registered = new Map<string, PluginAddress>();
  /** By name: asked once, however many want it. One that fails is asked anew. */
  readonly #active = new Map<string, Promise<HttpPlugin>>();

  constructor(directories: PluginDirectories = DOCKER_DIRECTORIES) {
    this.#directories = directories;
  }

  async get(
    name: string,
    implementing: PluginInterface,
    { patience = 0, ...options }: PluginCallOptions & { readonly patience?: number } = {},
  ): Promise<Plugin> {
    const address = await this.#find(name, patience, options.signal);
    if (!address) throw new NotFoundError(`plugin ${JSON.stringify(name)} not found`, { subject: name });
    const plugin = await this.#activate(address, options);
    if (!plugin.interfaces.includes(implementing)) {
      throw new NotFoundError(
        `Plugin does not implement the requested driver: plugin=${JSON.stringify(name)}, requested implementation=${JSON.stringify(implementing)}`,
        { subject: name },
      );
    }
    return plugin;
  }

  async all(implementing: PluginInterface, options: PluginCallOptions = {}): Promise<readonly Plugin[]> {
    const names = [...new Set([...this.#registered.keys(), ...listPlugins(this.#directories)])];
    const found = await Promise.all(
      names.map(async (name) => {
        try {
          const address = this.#look(name);
          return address && (await this.#activate(address, options));
        } catch (error) {
          options.signal?.throwIfAborted();
          log("warn", "a plugin does not answer", { plugin: name, error });
          return undefined;
        }
      }),
    );
    return found.filter((plugin) => plugin?.interfaces.includes(implementing)) as HttpPlugin[];
  }

  register(plugin: PluginAddress): Disposable {
    this.#registered.set(plugin.name, plugin);
    this.#active.delete(plugin.name);
    return {
      [Symbol.dispose]: () => {
        if (this.#registered.get(plugin.name) !== plugin) return;
        this.#registered.delete(plugin.name);
        this.#active.delete(plugin.name);
      },
    };
  }

  async #find(
    name: string,
    patience: number,
    signal: AbortSignal | undefined,
  ): Promise<PluginAddress | undefined> {
    const deadline = performance.now() + patience;
    for (;;) {
      const address = this.#look(name);
      if (address || performance.now() >= deadline) return address;
      await pause(LOOK_INTERVAL);
      signal?.throwIfAborted();
    }
  }

  #look(name: string): PluginAddress | undefined {
    return this.#registered.get(name) ?? findPlugin(this.#directories, name);
  }

  /** @throws UnavailableError, PluginError */
  async #activate(address: PluginAddress, options: PluginCallOptions): Promise<HttpPlugin> {
    const { name } = address;
    const known = this.#active.get(name);
    if (known) {
      const plugin = await known;
      if (plugin.address.address === address.address) return plugin;
    }
    const asking = this.#ask(address, options);
    this.#active.set(name, asking);
    try {
      return await asking;
    } catch (error) {
      if (this.#active.get(name) === asking) this.#active.delete(name);
      throw error;
    }
  }

  async #ask(address: PluginAddress, options: PluginCallOptions): Promise<HttpPlugin> {
    const { Implements = [] } = await callPlugin<{ Implements?: unknown }>(
      address,
      "Plugin.Activate",
      undefined,
      options,
    );
    const interfaces = Array.isArray(Implements) ? Implements.filter((item) => typeof item === "string") : [];
    return new HttpPlugin(address, interfaces, () => this.#active.delete(address.name));
  }
}

class HttpPlugin implements Plugin {
  readonly address: PluginAddress;
  readonly interfaces: readonly string[];
  readonly #onGone: () => void;

  /** @param onGone it does not answer: whoever comes next asks it anew what it implements */
  constructor(address: PluginAddress, interfaces: readonly string[], onGone: () => void) {
    this.address = address;
    this.interfaces = interfaces;
    this.#onGone = onGone;
  }

  get name(): string {
    return this.address.name;
  }

  async call<T extends object>(method: string, args?: object, options?: PluginCallOptions): Promise<T> {
    return await this.#watched(callPlugin<T>(this.address, method, args, options));
  }

  async stream(
    method: string,
    args?: object,
    options?: PluginCallOptions,
  ): Promise<AsyncIterable<Uint8Array>> {
    return await this.#watched(streamPlugin(this.address, method, args, options));
  }

  async #watched<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof UnavailableError) this.#onGone();
      throw error;
    }
  }
}
