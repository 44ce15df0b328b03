/** Avro's single-object encoding: `C3 01`, the schema's fingerprint, the body. */

import avro from "avsc";

import type { Messages } from "./messages.js";
import { FINGERPRINTS, SCHEMAS } from "./schemas.js";
import { UnreadableError } from "./unreadable.js";

const HEADER_BYTES = 10;
const REPLACEMENT = "\ufffd";

/** 64-bit integers, which avsc would read as doubles. */
const LONG = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === "bigint" && BigInt.asIntN(64, value) === value,
  compare: (one: bigint, other: bigint) => (one === other ? 0 : one < other ? -1 : 1),
});

function isLong(schema: unknown): boolean {
  return schema === "long" || (schema as { type?: unknown } | null)?.type === "long";
}

function typeOf(name: keyof Messages): avro.Type {
  return avro.Type.forSchema(
    SCHEMAS[name] as avro.Schema,
    {
      wrapUnions: "never",
      omitRecordMethods: true,
      typeHook: (schema: unknown) => (isLong(schema) ? LONG : undefined),
    } as object,
  );
}

const TYPES: Record<keyof Messages, avro.Type> = {
  JobRequest: typeOf("JobRequest"),
  StatusEvent: typeOf("StatusEvent"),
  JobCommand: typeOf("JobCommand"),
};

/** The first bytes of a record in Avro. */
const HEADERS = Object.fromEntries(
  Object.entries(FINGERPRINTS).map(([name, print]) => [name, Buffer.from(`c301${print}`, "hex")]),
) as Record<keyof Messages, Buffer>;

/** The fields of a message, as its schema has them: integers of 64 bits are `bigint`. */
export type Fields = Record<string, unknown>;

/**
 * Reads a record.
 *
 * @param lenient whether text that is not UTF-8 is read, with replacement characters
 * @throws UnreadableError it is not such a message in Avro
 */
export function readAvro(name: keyof Messages, value: Buffer, lenient: boolean): Fields {
  if (!value.subarray(0, HEADER_BYTES).equals(HEADERS[name])) {
    throw new UnreadableError(`the fingerprint is not that of a ${name}`);
  }
  const body = value.subarray(HEADER_BYTES);
  let fields: Fields;
  try {
    fields = TYPES[name].fromBuffer(body) as Fields;
  } catch (error) {
    throw new UnreadableError(`the Avro body of the ${name} is damaged`, { cause: error });
  }
  if (!lenient && hasReplacement(fields) && !TYPES[name].toBuffer(fields).equals(body)) {
    throw new UnreadableError(`a text of the ${name} is not UTF-8`);
  }
  return fields;
}

/** Tells whether there is a replacement character: one of the text, or in place of wrong bytes. */
function hasReplacement(value: unknown): boolean {
  if (typeof value === "string") return value.includes(REPLACEMENT);
  if (value === null || typeof value !== "object" || Buffer.isBuffer(value)) return false;
  return Object.entries(value).some(
    ([key, each]) => key.includes(REPLACEMENT) || hasReplacement(each),
  );
}

/** Writes a message. */
export function writeAvro(name: keyof Messages, fields: Fields): Buffer {
  return Buffer.concat([HEADERS[name], TYPES[name].toBuffer(fields)]);
}
