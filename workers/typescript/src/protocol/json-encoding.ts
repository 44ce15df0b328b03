/** The JSON encoding, by the schemas: the same fields as in Avro. */

import type { Fields } from "./avro-encoding.js";
import {
  isUnicode,
  type Marked,
  member,
  members,
  NumberText,
  parseMarked,
  scalar,
  writeMarked,
} from "./exact-json.js";
import { isJson } from "./media-types.js";
import type { Messages } from "./messages.js";
import { type Definition, type RecordSchema, type Schema, SCHEMAS } from "./schemas.js";
import { UnreadableError } from "./unreadable.js";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const INTEGER = /^-?\d+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** The fields whose form depends on a media type, and the fields that have it. */
const MEDIA: Record<string, string> = { payload: "payload_type", result: "result_type" };

/**
 * Reads a record.
 *
 * @throws UnreadableError it is not such a message in JSON
 */
export function readJson(name: keyof Messages, value: Buffer): Fields {
  return readRecord(SCHEMAS[name], parse(name, value), name);
}

/**
 * Reads a record as far as it goes: a field that is not valid is missing.
 *
 * @throws UnreadableError it is not an object in JSON
 */
export function readJsonParts(name: keyof Messages, value: Buffer): Fields {
  const object = parse(name, value);
  const fields: Fields = {};
  for (const field of SCHEMAS[name].fields) {
    try {
      const single: RecordSchema = { type: "record", fields: [field] };
      Object.assign(fields, readRecord(single, object, name));
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
    }
  }
  return fields;
}

function parse(name: string, value: Buffer): Record<string, Marked> {
  let document: Marked;
  try {
    document = parseMarked(UTF8.decode(value));
    if (!isUnicode(document)) throw new UnreadableError("a text has half of a surrogate pair");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnreadableError(`the ${name} is not JSON: ${reason}`, { cause: error });
  }
  if (document === null || typeof document !== "object" || Array.isArray(document)) {
    throw new UnreadableError(`the ${name} is not a JSON object`);
  }
  return document;
}

function readRecord(schema: RecordSchema, object: Record<string, Marked>, path: string): Fields {
  const fields: Fields = {};
  for (const { name, type, default: fallback } of schema.fields) {
    const value = member(object, name);
    const where = `${path}.${name}`;
    const media = MEDIA[name];
    if (media !== undefined) {
      fields[name] = readData(value, scalar(member(object, media)), where);
    } else if (value !== undefined) {
      fields[name] = readValue(type, value, where);
    } else if (fallback !== undefined) {
      fields[name] = fallback;
    } else {
      throw new UnreadableError(`${where} is missing`);
    }
  }
  return fields;
}

function readData(value: Marked | undefined, mediaType: unknown, where: string): Buffer | null {
  if (typeof mediaType === "string" && isJson(mediaType)) {
    return Buffer.from(value === undefined ? "null" : writeMarked(value));
  }
  const text = scalar(value) ?? null;
  if (text === null) return null;
  if (typeof text !== "string" || !BASE64.test(text)) {
    throw new UnreadableError(`${where} is not base64, and its media type is not JSON`);
  }
  return Buffer.from(text, "base64");
}

function readValue(schema: Schema, value: Marked, where: string): unknown {
  if (Array.isArray(schema)) {
    if (value === null) return null;
    return readValue(schema.find((each) => each !== "null") ?? "null", value, where);
  }
  if (typeof schema !== "string") return readDefined(schema, value, where);
  const plain = scalar(value);
  switch (schema) {
    case "string":
      if (typeof plain === "string") return plain;
      break;
    case "boolean":
      if (typeof plain === "boolean") return plain;
      break;
    case "double":
      if (plain instanceof NumberText && Number.isFinite(Number(plain.text))) {
        return Number(plain.text);
      }
      break;
    case "int":
    case "long": {
      if (!(plain instanceof NumberText) || !INTEGER.test(plain.text)) break;
      const integer = BigInt(plain.text);
      const bits = schema === "int" ? 32 : 64;
      if (BigInt.asIntN(bits, integer) === integer) return bits === 32 ? Number(integer) : integer;
      break;
    }
  }
  throw new UnreadableError(`${where} is not of type ${schema}`);
}

function readDefined(schema: Definition, value: Marked, where: string): unknown {
  if (schema.symbols !== undefined) {
    const symbol = scalar(value);
    if (typeof symbol !== "string") throw new UnreadableError(`${where} is not text`);
    return schema.symbols.includes(symbol) ? symbol : schema.default;
  }
  if (schema.fields === undefined && schema.values === undefined) {
    return readValue(schema.type, value, where);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new UnreadableError(`${where} is not an object`);
  }
  if (schema.fields !== undefined) return readRecord(schema as RecordSchema, value, where);
  return Object.fromEntries(
    members(value).map(([key, each]) => [
      key,
      readValue(schema.values ?? "string", each, `${where}.${key}`),
    ]),
  );
}

/** Writes a message. Fields that are null are omitted. */
export function writeJsonMessage(name: keyof Messages, fields: Fields): Buffer {
  return Buffer.from(writeRecord(SCHEMAS[name], fields));
}

function writeRecord(schema: RecordSchema, fields: Fields): string {
  const parts: string[] = [];
  for (const { name, type } of schema.fields) {
    const value = fields[name];
    if (value === null || value === undefined) continue;
    const mediaType = fields[MEDIA[name] ?? ""];
    const text = Buffer.isBuffer(value)
      ? writeData(value, typeof mediaType === "string" ? mediaType : "")
      : writeValue(type, value);
    parts.push(`${JSON.stringify(name)}:${text}`);
  }
  return `{${parts.join(",")}}`;
}

function writeData(data: Buffer, mediaType: string): string {
  return isJson(mediaType) ? UTF8.decode(data) : JSON.stringify(data.toString("base64"));
}

function writeValue(schema: Schema, value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object") return JSON.stringify(value);
  const defined = Array.isArray(schema) ? schema.find((each) => each !== "null") : schema;
  if (typeof defined === "object" && "fields" in defined) {
    return writeRecord(defined as RecordSchema, value as Fields);
  }
  return JSON.stringify(value);
}
