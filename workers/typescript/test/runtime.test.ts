import assert from "node:assert/strict";
import { test } from "node:test";

import { encode } from "../src/protocol/codec.js";
import { Membership } from "../src/runtime/membership.js";
import { Partition } from "../src/runtime/partition.js";
import { CLOCK_SKEW_MS, Snapshot } from "../src/runtime/snapshot.js";
import { event, record, request } from "./fakes.js";

void test("after half a session without a poll, only a later commit permits to publish", () => {
  let now = 0;
  const membership = new Membership(6_000, () => now);
  now = 3_000;
  assert.ok(membership.mayPublish());
  now = 3_001;
  assert.ok(!membership.mayPublish());
  membership.aboutToPoll();
  const first = membership.doubt;
  assert.ok(first !== undefined && !membership.mayPublish());
  now = 7_000;
  membership.aboutToPoll();
  membership.confirmed(first);
  assert.ok(!membership.mayPublish(), "the commit was sent before the second pause");
  membership.confirmed(membership.doubt ?? 0);
  assert.ok(membership.mayPublish());
});

void test("after a broker was away, only a commit that was sent later permits to publish", () => {
  const membership = new Membership(6_000, () => 0);
  membership.lostContact();
  const first = membership.doubt ?? 0;
  assert.ok(!membership.mayPublish());
  membership.lostContact();
  membership.confirmed(first);
  assert.ok(!membership.mayPublish(), "the commit was sent before the broker was away again");
  membership.confirmed(membership.doubt ?? 0);
  assert.ok(membership.mayPublish());
});

void test("the position of a partition is that of its oldest unfinished request", () => {
  const partition = new Partition(0, 1);
  assert.equal(partition.position, undefined);
  for (const offset of [5, 6, 9]) partition.consume(offset);
  partition.finish(6);
  assert.equal(partition.position, 5);
  partition.finish(5);
  assert.equal(partition.position, 9);
  partition.finish(9);
  assert.deepEqual([partition.position, partition.moved], [10, 10]);
  partition.committed(10);
  assert.equal(partition.moved, undefined);
});

void test("a snapshot covers requests since its beginning, of assignments before it", () => {
  const snapshot = new Snapshot(1_000_000, 2, new Set(["asked"]));
  const young = 1_000_000 + CLOCK_SKEW_MS;
  assert.ok(snapshot.covers("other", young, 2));
  assert.ok(!snapshot.covers("other", young - 1, 2));
  assert.ok(snapshot.covers("asked", 0, 2));
  assert.ok(!snapshot.covers("asked", young, 3));
});

void test("what is not a status event does not end a job", () => {
  const job = request();
  const snapshot = new Snapshot(0, 1, new Set());
  const id = job.correlation_id;
  const invalid = { ...event(job, { state: "SUCCEEDED" }), event_id: "" };
  for (const value of [
    null,
    Buffer.of(),
    Buffer.from("{}"),
    encode("StatusEvent", invalid, "avro"),
  ]) {
    snapshot.add(record(id, value));
  }
  assert.ok(!snapshot.isFinished(id));
});

void test("an invalid field beside an error does not hide the error, in both encodings", () => {
  const error = { type: "", message: "No space left", details: null, retryable: true };
  for (const encoding of ["avro", "json"] as const) {
    const job = request();
    const snapshot = new Snapshot(0, 1, new Set());
    const slip = event(job, { state: "FAILED", event_id: "", delivery: -1, error });
    snapshot.add(record(job.correlation_id, encode("StatusEvent", slip, encoding)));
    assert.ok(snapshot.isFinished(job.correlation_id), encoding);
  }
});
