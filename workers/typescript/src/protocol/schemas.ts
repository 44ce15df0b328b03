/** The Avro schemas, which ship with this package. */

import { readFileSync } from "node:fs";

import type { Messages } from "./messages.js";

/** A type in a schema: the name of a type, a union, or a definition. */
export type Schema = string | Schema[] | Definition;

/** A type that is defined where it is used. */
export interface Definition {
  readonly type: string;
  readonly name?: string;
  readonly logicalType?: string;
  readonly fields?: readonly Field[];
  readonly symbols?: readonly string[];
  readonly default?: string;
  readonly values?: Schema;
}

/** A field of a record. */
export interface Field {
  readonly name: string;
  readonly type: Schema;
  readonly default?: unknown;
}

/** A record: one of the messages, or a part of one. */
export type RecordSchema = Definition & { readonly fields: readonly Field[] };

const FILES: Record<keyof Messages, string> = {
  JobRequest: "job_request.avsc",
  StatusEvent: "status_event.avsc",
  JobCommand: "job_command.avsc",
};

/** By message, bytes 3 to 10 of its records in Avro. */
export const FINGERPRINTS: Record<keyof Messages, string> = {
  JobRequest: "cbcc3ba477730fc6",
  StatusEvent: "78b1db8f79350a12",
  JobCommand: "867918f6b848f895",
};

/** The folder of the schemas: `schemas/` beside `dist/`. */
export const SCHEMA_FOLDER = new URL("../../../schemas/", import.meta.url);

/** By message, its schema. */
export const SCHEMAS = Object.fromEntries(
  Object.entries(FILES).map(([name, file]) => [
    name,
    JSON.parse(readFileSync(new URL(file, SCHEMA_FOLDER), "utf8")) as RecordSchema,
  ]),
) as Record<keyof Messages, RecordSchema>;
