import { fileURLToPath } from "node:url";
import type { ServiceDefinition } from "@grpc/grpc-js";
import {
  loadSync,
  type MessageTypeDefinition,
  type MethodDefinition,
  type PackageDefinition,
} from "@grpc/proto-loader";

/** At the same place, seen from the source and from what is built. */
const PROTO_FILE = fileURLToPath(new URL("../../../proto/flashq.proto", import.meta.url));

export interface Protocol {
  /** As reflection shows it. */
  readonly definition: PackageDefinition;
  readonly service: ServiceDefinition;
}

/** What takes the place of a request that cannot be read. */
export const MALFORMED = Symbol("malformed request");

/** uint64 travels as a number: what is beyond 2^53 stays beyond it, and is refused. */
export function loadProtocol(): Protocol {
  const definition = loadSync(PROTO_FILE, {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  const own = definition["flashq.QueueService"] as ServiceDefinition;
  const service = Object.fromEntries(
    Object.entries(own).map(([name, method]) => {
      const { requestDeserialize, requestType } = method as ProtoMethod;
      const layout = layoutOf(definition, requestType.type as Descriptor);
      const read = (bytes: Buffer): unknown => {
        if (!isFramed(bytes, layout)) return MALFORMED;
        try {
          const request: unknown = requestDeserialize(bytes);
          return hasBrokenText(request, bytes) ? MALFORMED : request;
        } catch {
          return MALFORMED;
        }
      };
      return [name, { ...method, requestDeserialize: read }];
    }),
  );
  return { definition, service };
}

/** As proto-loader makes it: grpc-js's type does not tell of its messages. */
type ProtoMethod = MethodDefinition<object, object>;

/** Of a message, what is needed of `google.protobuf.DescriptorProto`. */
interface Descriptor {
  readonly field: readonly {
    readonly number: number;
    readonly type: string;
    readonly typeName: string;
  }[];
}

/** The fields of a message that are messages themselves. */
type Layout = ReadonlyMap<number, Layout>;

function layoutOf(definition: PackageDefinition, { field }: Descriptor): Layout {
  const messages = field.filter(({ type }) => type === "TYPE_MESSAGE");
  return new Map(
    messages.map(({ number, typeName }) => {
      const { type } = definition[`flashq.${typeName}`] as MessageTypeDefinition<object, object>;
      return [number, layoutOf(definition, type as Descriptor)];
    }),
  );
}

/** Whether the fields fill each message to its end: the library takes a text that is cut off for a shorter one. */
function isFramed(bytes: Buffer, layout: Layout): boolean {
  let at = 0;
  /** NaN: it does not end. */
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = bytes[at++];
      if (byte === undefined) return Number.NaN;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const tag = varint();
    const type = tag % 8;
    if (type === 0) {
      if (Number.isNaN(varint())) return false;
    } else if (type === 1) at += 8;
    else if (type === 2) {
      const length = varint();
      const from = at;
      at += length;
      const inner = layout.get(Math.floor(tag / 8));
      if (inner !== undefined && !isFramed(bytes.subarray(from, at), inner)) return false;
    } else if (type === 5) at += 4;
    else return false;
  }
  return at === bytes.length;
}

/** What stands for bytes that are no UTF-8. */
const REPLACEMENT = "\uFFFD";

/** Whether a text field is not UTF-8: it then holds a character that the bytes do not. */
function hasBrokenText(request: unknown, bytes: Buffer): boolean {
  return holds(request) && !bytes.includes(REPLACEMENT);
}

function holds(value: unknown): boolean {
  if (typeof value === "string") return value.includes(REPLACEMENT);
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return false;
  if (Array.isArray(value)) return typeof value[0] !== "number" && value.some(holds);
  return Object.values(value).some(holds);
}
