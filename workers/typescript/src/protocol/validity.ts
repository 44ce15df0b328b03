/** The rules for messages that a schema does not have. */

import type { Fields } from "./avro-encoding.js";
import { isJson } from "./media-types.js";
import type { Messages } from "./messages.js";
import { UnreadableError } from "./unreadable.js";

const EARLIEST = Date.parse("0001-01-01T00:00:00.000Z");
const LATEST = Date.parse("9999-12-31T23:59:59.999Z");
const CORRELATION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const SHA256 = /^[0-9a-f]{64}$/i;

/** Tells whether a text is a correlation id: UUID text in lower case. */
export function isCorrelationId(text: string): boolean {
  return CORRELATION_ID.test(text);
}

/**
 * Returns the fields of a message as the message.
 *
 * @throws UnreadableError a field is not valid
 */
export function checked<N extends keyof Messages>(name: N, fields: Fields): Messages[N] {
  const message: Fields = { ...fields };
  const require = (holds: boolean, field: string, rule: string): void => {
    if (!holds) throw new UnreadableError(`${name}.${field} ${rule}`);
  };
  const atLeast = (field: string, least: number): void => {
    const value = message[field];
    const isInt = typeof value === "bigint" || Number(value) === (Number(value) | 0);
    require(isInt && Number(value) >= least, field, `must be an integer from ${least}`);
  };
  const notEmpty = (field: string): void => {
    require(message[field] !== "", field, "must not be empty");
  };
  require(isCorrelationId(String(message["correlation_id"])), "correlation_id", "must be a UUID");
  for (const [field, value] of Object.entries(message)) {
    if (!field.endsWith("_at") && field !== "deadline") continue;
    if (value === null) continue;
    const time = Number(value);
    require(time >= EARLIEST && time <= LATEST, field, "is not in the years 1 to 9999");
    message[field] = time;
  }
  for (const field of ["payload_ref", "result_ref"]) {
    const reference = message[field] as Messages["JobRequest"]["payload_ref"] | undefined;
    if (!reference) continue;
    require(reference.uri !== "", `${field}.uri`, "must not be empty");
    require(SHA256.test(reference.sha256), `${field}.sha256`, "must be 64 hexadecimal digits");
    require(reference.size >= 0n, `${field}.size`, "must not be negative");
  }
  if (name === "JobRequest") {
    atLeast("attempt", 1);
    atLeast("heartbeat_interval_ms", 0);
    notEmpty("job_type");
    notEmpty("response_topic");
    checkData(message, "payload", name);
  } else if (name === "StatusEvent") {
    atLeast("delivery", 1);
    atLeast("sequence", 0);
    notEmpty("event_id");
    checkData(message, "result", name);
  }
  return message as unknown as Messages[N];
}

/** A media type without data means JSON's null if it is a JSON type, and no data otherwise. */
function checkData(message: Fields, data: string, name: string): void {
  const mediaType = message[`${data}_type`];
  if (message[data] === null && typeof mediaType === "string") {
    if (isJson(mediaType)) message[data] = Buffer.from("null");
    else message[`${data}_type`] = null;
  } else if (message[data] !== null && mediaType === null) {
    throw new UnreadableError(`${name}.${data} has no media type`);
  }
}
