/**
 * The table of ARCHITECTURE.md as a check: `npm run layers`. A comment is the reason, and is printed with the
 * violation. `import type` counts as an edge; where only types of a room may be used, the rule says so.
 * Tests may reach anywhere but into `roles`, since they put drivers together themselves.
 */
const path = require("node:path");

const test = "\\.(test|contract)\\.ts$";

/** Files of a room (tests aside) may import only the given rooms, and themselves. */
function room(name, may, because) {
  const allowed = [name, ...may].map((other) => `^src/${other}/`).join("|");
  return {
    name: `${name}-may-import${may.map((other) => `-${other}`).join("") || "-nothing-of-ours"}`,
    comment: because,
    severity: "error",
    from: { path: `^src/${name}/`, pathNot: test },
    to: { path: "^src/", pathNot: allowed },
  };
}

/** Of `to`, a room may use types alone: nothing of it is loaded when the room runs. */
function typesOnly(name, to, because) {
  return {
    name: `${name}-uses-types-of-${to}-only`,
    comment: because,
    severity: "error",
    from: { path: `^src/${name}/`, pathNot: test },
    to: { path: `^src/${to}/`, dependencyTypesNot: ["type-only"] },
  };
}

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-cycles",
      comment: "Of two files that need each other neither can be read, tested or replaced alone.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "nobody-imports-roles",
      comment: "Roles put things together and read the environment; what imports one drags all of it in.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(roles/|main\\.ts$)" },
      to: { path: "^src/roles/" },
    },
    {
      name: "main-loads-roles-alone",
      comment: "A client's start must not pay for the daemon: main picks a role and imports that one.",
      severity: "error",
      from: { path: "^src/main\\.ts$" },
      to: { path: "^src/", pathNot: "^src/roles/" },
    },
    {
      name: "tests-are-leaves",
      comment: "Nothing that ships may depend on a test or on a contract suite.",
      severity: "error",
      from: { path: "^src/", pathNot: test },
      to: { path: test },
    },
    room("cli", ["client", "api", "base"], "The client starts in milliseconds and works against any engine."),
    room(
      "client",
      ["api", "base"],
      "It is the library too: it knows the wire contract and nothing of the engine.",
    ),
    room(
      "http",
      ["base"],
      "The engine's API, the registry and others stand on it: it knows nothing of what requests mean.",
    ),
    room(
      "server",
      ["engine", "builder", "registry", "core", "api", "http", "base"],
      "A handler decodes, makes one engine call, encodes: it never reaches a driver or the kernel.",
    ),
    room("engine", ["core", "base", "api"], "Use cases are written against ports: a driver can be replaced."),
    typesOnly(
      "engine",
      "api",
      "The engine speaks Docker's nouns, but how they travel is the server's business.",
    ),
    {
      name: "nouns-meet-in-ports",
      comment:
        "Containers, images, networks and volumes are used by one another through ports; what is made of containers (exec, one-shot) knows them, and not the other way round.",
      severity: "error",
      from: { path: "^src/engine/(containers|events|images|networks|volumes)/", pathNot: test },
      to: { path: "^src/engine/", pathNot: "^src/engine/($1|events)/" },
    },
    room(
      "registry",
      ["core", "base", "api", "http"],
      "It moves bytes between the network and ports; its server stands on the HTTP host.",
    ),
    {
      name: "registry-client-and-server-are-apart",
      comment: "An engine needs no registry's server to pull, nor a registry a client to be pulled from.",
      severity: "error",
      from: { path: "^src/registry/(client|server)/", pathNot: test },
      to: { path: "^src/registry/", pathNot: "^src/registry/$1/" },
    },
    typesOnly("registry", "api", "The registry client speaks another protocol than the Engine API."),
    room(
      "builder",
      ["core", "base", "api"],
      "It is written against ports, which the engine and drivers implement: a build can be tested, and used, without them.",
    ),
    typesOnly("builder", "api", "The builder borrows the words of the Engine API, not its code."),
    {
      name: "drivers-implement-ports",
      comment: "A driver implements a port with the kernel's help; it knows no use case.",
      severity: "error",
      from: { path: "^src/drivers/", pathNot: test },
      to: { path: "^src/", pathNot: "^src/(drivers|core|linux|base|api)/" },
    },
    {
      name: "drivers-do-not-know-one-another",
      comment:
        "Drivers meet in a role only; each can be taken out and replaced without a look at the others.",
      severity: "error",
      from: { path: "^src/drivers/([^/]+)/", pathNot: test },
      to: { path: "^src/drivers/", pathNot: "^src/drivers/$1/" },
    },
    typesOnly("drivers", "api", "A driver has no business with routes and decoders."),
    room("linux", ["base"], "System calls know nothing of containers."),
    room("core", ["base", "api"], "The domain depends on nothing that acts."),
    typesOnly("core", "api", "The domain borrows the words of the Engine API, not its code."),
    room("api", [], "The wire contract is data."),
    room("base", [], "Helpers without a domain."),
    {
      name: "ffi-in-linux-only",
      comment: "bun:ffi is documented as experimental: a fault must be replaceable in one place.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/linux/" },
      to: { path: "^bun:ffi$" },
    },
    {
      name: "sqlite-in-its-driver-only",
      comment: "One writer connection, in one place; nothing else may open the database.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/drivers/(state-sqlite|sql-sqlite)/" },
      to: { path: "^bun:sqlite$" },
    },
    {
      name: "no-development-dependency-at-run-time",
      comment: "What ships may use types of a development dependency, but nothing of its code.",
      severity: "error",
      from: { path: "^src/", pathNot: test },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "every-import-exists",
      comment: "A file that is not there, or a package that package.json does not name.",
      severity: "error",
      from: { path: "^src/" },
      to: { couldNotResolve: true, pathNot: "^bun(:|$)" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: path.join(__dirname, "tsconfig.json") },
    doNotFollow: { path: "node_modules" },
    // Packages that name their entries under "exports", as @bufbuild/protobuf does.
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
