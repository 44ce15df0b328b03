import assert from "node:assert/strict";
import { test } from "node:test";

import { parseJson, parseMarked, writeJson, writeMarked } from "../src/protocol/exact-json.js";

void test("a marked value is written with its digits, its keys and their order", () => {
  const text = '{"b":1.0,"2":1e3,"1":[9007199254740993,-0,"n1","s"],"__proto__":{"\\"k":null}}';
  assert.equal(writeMarked(parseMarked(text)), text);
});

void test("of a key that occurs twice, the last one counts", () => {
  assert.equal(writeMarked(parseMarked('{"a":1,"a":2}')), '{"a":2}');
});

void test("what is not JSON is refused", () => {
  for (const text of ["", "NaN", "{} {}", "[1,]", "{'a':1}", "01", '"\n"', "[1 2]"]) {
    assert.throws(() => parseMarked(text), SyntaxError, text);
  }
});

void test("integers that no double has become bigint, others stay numbers", () => {
  assert.deepEqual(
    parseJson("[1, 2.5, 9007199254740993, -9223372036854775808, 0.1234567890123456]"),
    [1, 2.5, 9007199254740993n, -9223372036854775808n, 0.1234567890123456],
  );
});

void test("a bigint is written as an integer, beside texts that look like one", () => {
  const value = { big: 9223372036854775807n, text: "9223372036854775807n", list: [1n] };
  assert.equal(
    writeJson(value),
    '{"big":9223372036854775807,"text":"9223372036854775807n","list":[1]}',
  );
});

void test("values that JSON cannot carry are refused", () => {
  for (const value of [NaN, [Infinity], "\ud800", { "\udc00": 1 }]) {
    assert.throws(() => writeJson(value), TypeError);
  }
  assert.equal(writeJson(Symbol("s")), undefined);
});
