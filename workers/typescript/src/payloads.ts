/** Payloads and results: from bytes to values, and back. */

import { failure } from "./errors.js";
import { parseJson, writeJson } from "./protocol/exact-json.js";
import { BYTES_TYPE, isJson, JSON_TYPE } from "./protocol/media-types.js";
import { ErrorType, type JobFailure, type JobRequest } from "./protocol/messages.js";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Checks a payload and gives it a type. Schemas of zod, valibot's parsers and others are such. */
export interface PayloadSchema<Payload> {
  /** Returns the payload, or throws an error that says what is wrong. */
  parse(value: unknown): Payload;
}

/** A result with its media type. Return one from a handler where the default type is not right. */
export class Result {
  constructor(
    readonly data: Uint8Array,
    readonly mediaType: string,
  ) {}
}

/** A payload is not what its media type or the handler's schema says. */
export class InvalidPayloadError extends Error {
  override readonly name = "InvalidPayloadError";

  /** The error of the FAILED event. */
  get failure(): JobFailure {
    return failure(ErrorType.invalidPayload, this.message, false);
  }
}

/**
 * Returns the payload of a request: undefined without one, a value if it is JSON, else its bytes.
 *
 * Integers that no double has are `bigint`.
 *
 * @throws InvalidPayloadError it is not JSON although its media type says so, or not what the schema says
 */
export function payloadOf<Payload>(
  { payload, payload_type: mediaType }: JobRequest,
  schema: PayloadSchema<Payload>,
): Payload {
  let value: unknown = payload ?? undefined;
  try {
    if (payload !== null && isJson(mediaType ?? "")) value = parseJson(UTF8.decode(payload));
  } catch (error) {
    throw invalid(`the payload is declared as ${mediaType} and is not: `, error);
  }
  try {
    return schema.parse(value);
  } catch (error) {
    throw invalid("the payload is not valid: ", error);
  }
}

function invalid(what: string, cause: unknown): InvalidPayloadError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new InvalidPayloadError(what + reason, { cause });
}

/** The part of an event that has the result. */
export interface ResultFields {
  readonly result: Buffer | null;
  readonly result_type: string | null;
}

/**
 * Returns what a handler has returned as the fields of an event.
 *
 * @throws TypeError it is neither undefined, bytes, a {@link Result}, nor a value of JSON
 */
export function resultFields(value: unknown): ResultFields {
  if (value === undefined) return { result: null, result_type: null };
  if (value instanceof Uint8Array) return { result: Buffer.from(value), result_type: BYTES_TYPE };
  if (value instanceof Result) {
    return { result: Buffer.from(value.data), result_type: value.mediaType };
  }
  const text = writeJson(value);
  if (text === undefined) {
    throw new TypeError(`a handler returned a ${typeof value}, which JSON cannot carry`);
  }
  return { result: Buffer.from(text), result_type: JSON_TYPE };
}
