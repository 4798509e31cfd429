/**
 * Progress of a BuildKit build as it comes in `moby.buildkit.trace` messages: `StatusResponse` of
 * moby.buildkit.v1.Control, read with the numbers of its fields.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";

/** A step of the build; told anew with every change. */
export interface BuildVertex {
  digest: string;
  name: string;
  cached: boolean;
  /** Milliseconds since the epoch. */
  started: number | undefined;
  completed: number | undefined;
  error: string;
}

/** Something that a step is doing: a layer that is fetched, a file that is sent. */
export interface BuildVertexStatus {
  id: string;
  vertex: string;
  current: number;
  total: number;
  completed: boolean;
}

export interface BuildVertexLog {
  vertex: string;
  timestamp: number | undefined;
  message: Uint8Array;
}

export interface BuildWarning {
  vertex: string;
  short: string;
}

export interface BuildStatus {
  readonly vertexes: BuildVertex[];
  readonly statuses: BuildVertexStatus[];
  readonly logs: BuildVertexLog[];
  readonly warnings: BuildWarning[];
}

type Reads = Readonly<Record<number, (reader: BinaryReader) => void>>;

export function decodeBuildStatus(bytes: Uint8Array): BuildStatus {
  const status: BuildStatus = { vertexes: [], statuses: [], logs: [], warnings: [] };
  const reader = new BinaryReader(bytes);
  readFields(reader, reader.len, {
    1: (inner) => status.vertexes.push(readVertex(inner)),
    2: (inner) => status.statuses.push(readStatus(inner)),
    3: (inner) => status.logs.push(readLog(inner)),
    4: (inner) => status.warnings.push(readWarning(inner)),
  });
  return status;
}

function readVertex(reader: BinaryReader): BuildVertex {
  const vertex: BuildVertex = {
    digest: "",
    name: "",
    cached: false,
    started: undefined,
    completed: undefined,
    error: "",
  };
  readMessage(reader, {
    1: (inner) => {
      vertex.digest = inner.string();
    },
    3: (inner) => {
      vertex.name = inner.string();
    },
    4: (inner) => {
      vertex.cached = inner.bool();
    },
    5: (inner) => {
      vertex.started = readTime(inner);
    },
    6: (inner) => {
      vertex.completed = readTime(inner);
    },
    7: (inner) => {
      vertex.error = inner.string();
    },
  });
  return vertex;
}

function readStatus(reader: BinaryReader): BuildVertexStatus {
  const status: BuildVertexStatus = { id: "", vertex: "", current: 0, total: 0, completed: false };
  readMessage(reader, {
    1: (inner) => {
      status.id = inner.string();
    },
    2: (inner) => {
      status.vertex = inner.string();
    },
    4: (inner) => {
      status.current = Number(inner.int64());
    },
    5: (inner) => {
      status.total = Number(inner.int64());
    },
    8: (inner) => {
      status.completed = readTime(inner) !== undefined;
    },
  });
  return status;
}

function readLog(reader: BinaryReader): BuildVertexLog {
  const log: BuildVertexLog = { vertex: "", timestamp: undefined, message: new Uint8Array() };
  readMessage(reader, {
    1: (inner) => {
      log.vertex = inner.string();
    },
    2: (inner) => {
      log.timestamp = readTime(inner);
    },
    4: (inner) => {
      log.message = inner.bytes();
    },
  });
  return log;
}

function readWarning(reader: BinaryReader): BuildWarning {
  const warning: BuildWarning = { vertex: "", short: "" };
  readMessage(reader, {
    1: (inner) => {
      warning.vertex = inner.string();
    },
    3: (inner) => {
      warning.short = Buffer.from(inner.bytes()).toString("utf8");
    },
  });
  return warning;
}

/** google.protobuf.Timestamp, in milliseconds; undefined for the empty one. */
function readTime(reader: BinaryReader): number | undefined {
  let seconds = 0;
  let nanos = 0;
  readMessage(reader, {
    1: (inner) => {
      seconds = Number(inner.int64());
    },
    2: (inner) => {
      nanos = inner.int32();
    },
  });
  return seconds === 0 && nanos === 0 ? undefined : seconds * 1000 + nanos / 1e6;
}

function readMessage(reader: BinaryReader, reads: Reads): void {
  const length = reader.uint32();
  readFields(reader, reader.pos + length, reads);
}

/** Fields that nobody asks for are passed over. */
function readFields(reader: BinaryReader, end: number, reads: Reads): void {
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const read = reads[number];
    if (read) read(reader);
    else reader.skip(wireType, number);
  }
}
