import assert from "node:assert/strict";
import { test } from "node:test";

import { KafkaError, RecordTooLargeError } from "../src/kafka/failures.js";
import { AbandonedError, JobReporter } from "../src/runtime/reporter.js";
import { eventually, FakeSender, quiet, request } from "./fakes.js";

function stage(mayPublish = (): boolean => true) {
  const sender = new FakeSender();
  const job = request();
  const publishing = { sender, workerId: "this", logger: quiet };
  const reported = { request: job, encoding: "json" as const, headers: [] };
  return {
    sender,
    job,
    reporter: new JobReporter(publishing, reported, mayPublish, { delivery: 1 }),
  };
}

void test("of many progress reports the last one comes, before the end", async () => {
  const { sender, job, reporter } = stage();
  await reporter.accepted();
  for (let done = 1; done <= 100; done++) {
    reporter.report({ completed: done, total: 100, unit: "files" }, null);
  }
  await reporter.ended("SUCCEEDED", {});
  assert.deepEqual(sender.states(job), ["ACCEPTED", "RUNNING", "SUCCEEDED"]);
  assert.equal(sender.events(job)[1]?.progress?.completed, 100);
});

void test("after the end nothing is published", async () => {
  const { sender, job, reporter } = stage();
  await reporter.accepted();
  await reporter.ended("SUCCEEDED", {});
  reporter.running("late");
  reporter.setExternalId("late");
  assert.deepEqual(sender.states(job), ["ACCEPTED", "SUCCEEDED"]);
});

void test("an event that is sent again keeps its id and its sequence", async () => {
  const { sender, job, reporter } = stage();
  let attempts = 0;
  const values: unknown[] = [];
  sender.refuse = ({ value }) => {
    const { event_id, sequence } = JSON.parse(value?.toString() ?? "") as Record<string, unknown>;
    values.push([event_id, sequence]);
    if (++attempts === 1) throw new KafkaError("timed out", -192);
  };
  await reporter.accepted();
  assert.deepEqual([values.length, values[0]], [2, values[1]]);
  assert.deepEqual(sender.states(job), ["ACCEPTED"]);
});

void test("an abandoned job publishes nothing, also if it waits for the permission", async () => {
  const { sender, reporter } = stage(() => false);
  const accepted = reporter.accepted();
  reporter.abandon();
  await assert.rejects(accepted, AbandonedError);
  assert.deepEqual(sender.sent, []);
});

void test("a result that is too large fails the job", async () => {
  const { sender, job, reporter } = stage();
  sender.refuse = ({ value }) => {
    if ((value?.length ?? 0) > 1_000) throw new RecordTooLargeError("too large", 10);
  };
  const result = Buffer.alloc(10_000);
  await reporter.ended("SUCCEEDED", { result, result_type: "application/octet-stream" });
  await eventually(() => sender.states(job).length === 1, "the end comes");
  const error = sender.events(job)[0]?.error;
  assert.deepEqual([error?.type, error?.retryable], ["result_too_large", false]);
});

void test("a checkpoint is published at once, and repeated until the end", async () => {
  const { sender, job, reporter } = stage();
  await reporter.accepted();
  for (let page = 1; page <= 100; page++) reporter.saveCheckpoint(String(page));
  reporter.running("a heartbeat");
  reporter.saveCheckpoint("101");
  await reporter.ended("SUCCEEDED", {});
  const saved = sender.events(job).map(({ attributes }) => attributes["checkpoint"]);
  assert.deepEqual(saved, [undefined, "1", "100", "101", undefined]);
});

void test("a checkpoint that is too large for the topic does not end the heartbeats", async () => {
  const { sender, job, reporter } = stage();
  sender.refuse = ({ value }) => {
    if ((value?.length ?? 0) > 1_000) throw new RecordTooLargeError("too large", 10);
  };
  await reporter.accepted();
  reporter.saveCheckpoint(JSON.stringify("x".repeat(2_000)));
  await eventually(() => reporter.checkpoint === null, "it is dropped");
  reporter.running("a heartbeat");
  await eventually(() => sender.states(job).length === 2, "the heartbeat comes");
});
