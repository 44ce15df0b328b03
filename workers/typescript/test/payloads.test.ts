import assert from "node:assert/strict";
import { test } from "node:test";

import { InvalidPayloadError, payloadOf, Result, resultFields } from "../src/payloads.js";
import { request } from "./fakes.js";

const anything = { parse: (value: unknown): unknown => value };
const json = (text: string) =>
  request({ payload: Buffer.from(text), payload_type: "application/json" });

void test("a JSON payload is a value, another one is bytes, and none is undefined", () => {
  assert.deepEqual(payloadOf(json('{"id":9007199254740993}'), anything), { id: 9007199254740993n });
  const bytes = request({ payload: Buffer.of(0, 255), payload_type: "image/png" });
  assert.deepEqual(payloadOf(bytes, anything), Buffer.of(0, 255));
  assert.equal(payloadOf(request(), anything), undefined);
});

void test("a payload that is not JSON, or that the schema refuses, is an invalid payload", () => {
  const refusing = {
    parse: (): never => {
      throw new Error("path is missing");
    },
  };
  assert.throws(() => payloadOf(json('{"half": '), anything), InvalidPayloadError);
  assert.throws(() => payloadOf(json("{}"), refusing), /the payload is not valid: path is missing/);
});

void test("a result is nothing, bytes, bytes with a type, or JSON", () => {
  const result = (data: string, type: string) => ({ result: Buffer.from(data), result_type: type });
  assert.deepEqual(resultFields(undefined), { result: null, result_type: null });
  assert.deepEqual(resultFields(Buffer.from("x")), result("x", "application/octet-stream"));
  assert.deepEqual(resultFields(new Result(Buffer.from("x"), "text/csv")), result("x", "text/csv"));
  assert.deepEqual(resultFields(null), result("null", "application/json"));
  assert.deepEqual(resultFields({ n: 1n }), result('{"n":1}', "application/json"));
  assert.throws(() => resultFields(() => 1), TypeError);
});
