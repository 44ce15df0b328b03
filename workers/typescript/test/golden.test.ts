/** The golden files of the protocol: messages in bytes, each in Avro and in JSON. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decode, encode } from "../src/protocol/codec.js";
import { parseJson } from "../src/protocol/exact-json.js";
import type { Messages } from "../src/protocol/messages.js";
import { FINGERPRINTS, SCHEMA_FOLDER } from "../src/protocol/schemas.js";
import { UnreadableError } from "../src/protocol/unreadable.js";

const SCHEMAS = new URL("../../../../schemas/", import.meta.url);
const GOLDEN = new URL("golden/v1/", SCHEMAS);

interface Index {
  readonly schemas: Record<keyof Messages, { file: string; fingerprint: string }>;
  readonly cases: { name: string; message: keyof Messages; avro: string; json: string }[];
  readonly also_readable: { file: string; same_as: string }[];
  readonly unreadable: { file: string; message: keyof Messages }[];
}

const read = (file: string): Buffer => readFileSync(new URL(file, GOLDEN));
const index = JSON.parse(read("cases.json").toString()) as Index;

/** Returns a value without the classes of its parts. */
const plain = <T>(value: T): T => structuredClone(value);

/** Returns JSON without the fields that have their default. */
function withoutDefaults(document: object): object {
  const isDefault = (name: string, value: unknown): boolean =>
    value === null ||
    (name === "delivery" && value === 1) ||
    (name === "attributes" && Object.keys(value as object).length === 0);
  return Object.fromEntries(
    Object.entries(document)
      .filter(([name, value]) => !isDefault(name, value))
      .map(([name, value]: [string, unknown]) =>
        ["task", "progress", "error", "payload_ref", "result_ref"].includes(name)
          ? [name, withoutDefaults(value as object)]
          : [name, value],
      ),
  );
}

void test("the schemas are those of the project, with these fingerprints", () => {
  for (const [name, { file, fingerprint }] of Object.entries(index.schemas)) {
    assert.deepEqual(
      readFileSync(new URL(file, SCHEMA_FOLDER)),
      readFileSync(new URL(file, SCHEMAS)),
    );
    assert.equal(FINGERPRINTS[name as keyof Messages], fingerprint);
  }
});

for (const { name, message, avro, json } of index.cases) {
  void test(`${name} is the same message in Avro and in JSON`, () => {
    const decoded = decode(message, read(avro));
    assert.deepEqual(plain(decode(message, read(json))), plain(decoded));
    assert.deepEqual(encode(message, decoded, "avro"), read(avro));
    const written = parseJson(encode(message, decoded, "json").toString()) as object;
    const wanted = parseJson(read(json).toString()) as object;
    assert.deepEqual(withoutDefaults(written), withoutDefaults(wanted));
  });
}

for (const { file, same_as } of index.also_readable) {
  void test(`${file} is read as ${same_as}`, () => {
    const same = index.cases.find(({ name }) => name === same_as);
    assert.ok(same);
    const wanted = decode(same.message, read(same.avro));
    assert.deepEqual(plain(decode(same.message, read(file))), plain(wanted));
  });
}

for (const { file, message } of index.unreadable) {
  void test(`${file} is unreadable`, () => {
    assert.throws(() => decode(message, read(file)), UnreadableError);
  });
}
