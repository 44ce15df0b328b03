/** Reads and writes messages, in Avro or in JSON. */

import { type Fields, readAvro, writeAvro } from "./avro-encoding.js";
import { parseMarked } from "./exact-json.js";
import { readJson, readJsonParts, writeJsonMessage } from "./json-encoding.js";
import { isJson } from "./media-types.js";
import type { JobState, Messages, StatusEvent } from "./messages.js";
import { UnreadableError } from "./unreadable.js";
import { checked } from "./validity.js";

/** The encoding of a record's value. */
export type Encoding = "avro" | "json";

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Returns the encoding of a value, by its first bytes.
 *
 * @throws UnreadableError it is none that can be read
 */
export function encodingOf(value: Buffer): Encoding {
  if (value[0] === 0xc3 && value[1] === 0x01) return "avro";
  if (value[0] === 0x00) {
    throw new UnreadableError("the value is in the registry encoding, which is not supported");
  }
  const first = value.find((byte) => !SPACE.has(byte));
  if (first === "{".charCodeAt(0)) return "json";
  throw new UnreadableError("the value is neither Avro's single-object encoding nor a JSON object");
}

/**
 * Reads a message.
 *
 * @throws UnreadableError the value is not such a message, or a field of it is not valid
 */
export function decode<N extends keyof Messages>(name: N, value: Buffer): Messages[N] {
  const fields =
    encodingOf(value) === "avro" ? readAvro(name, value, false) : readJson(name, value);
  return checked(name, fields);
}

/**
 * Writes a message.
 *
 * @throws SyntaxError in JSON: data of a JSON media type are not JSON
 */
export function encode<N extends keyof Messages>(
  name: N,
  message: Messages[N],
  encoding: Encoding,
): Buffer {
  const fields: Fields = { ...message };
  for (const [field, value] of Object.entries(fields)) {
    if (field.endsWith("_at") || field === "deadline") {
      fields[field] = typeof value === "number" ? BigInt(value) : value;
    }
  }
  if (encoding === "avro") return writeAvro(name, fields);
  for (const data of ["payload", "result"]) {
    const [bytes, mediaType] = [fields[data], fields[`${data}_type`]];
    if (Buffer.isBuffer(bytes) && isJson(String(mediaType))) parseMarked(bytes.toString());
  }
  return writeJsonMessage(name, fields);
}

/** What a reader of the ledger needs of an event. */
export type EventHead = Pick<
  StatusEvent,
  "state" | "delivery" | "sequence" | "external_id" | "attributes"
>;

/**
 * Reads what the ledger needs of an event. An invalid field beside an error does not hide the error.
 *
 * @throws UnreadableError the value is not a status event
 */
export function decodeHead(value: Buffer): EventHead {
  try {
    return decode("StatusEvent", value);
  } catch (error) {
    const head = headBesideError(value);
    if (head === undefined) throw error;
    return head;
  }
}

function headBesideError(value: Buffer): EventHead | undefined {
  const fields =
    encodingOf(value) === "avro"
      ? readAvro("StatusEvent", value, true)
      : readJsonParts("StatusEvent", value);
  if (!fields["error"] || !fields["correlation_id"] || fields["state"] === undefined) return;
  const delivery = typeof fields["delivery"] === "number" ? fields["delivery"] : 1;
  return {
    state: fields["state"] as JobState,
    delivery: Math.max(1, delivery),
    sequence: typeof fields["sequence"] === "bigint" ? fields["sequence"] : 0n,
    external_id: null,
    attributes: {},
  };
}
