import assert from "node:assert/strict";
import { test } from "node:test";

import { ConfigurationError } from "../src/errors.js";
import { producerProperties } from "../src/kafka/connection.js";
import { jsonLogger } from "../src/logger.js";
import { workerSettings } from "../src/settings.js";

const ENVIRON = {
  KAFKA_BRIDGE_BOOTSTRAP_SERVERS: "kafka:9092",
  KAFKA_BRIDGE_GROUP_ID: "audits",
  KAFKA_BRIDGE_CONCURRENCY: "4",
  KAFKA_BRIDGE_REQUEST_TOPIC: "",
  KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS: "6000",
};

void test("the environment sets what the program does not", () => {
  const settings = workerSettings({ groupId: "mine" }, ENVIRON);
  assert.deepEqual([settings.groupId, settings.concurrency], ["mine", 4]);
  assert.equal(settings.requestTopic, "jobs.requests");
  assert.deepEqual(settings.kafka, {
    "bootstrap.servers": "kafka:9092",
    "session.timeout.ms": "6000",
  });
});

void test("a setting that is missing or not possible is an error that says what to do", () => {
  const cases: [object, RegExp][] = [
    [{ KAFKA_BRIDGE_GROUP_ID: "" }, /set groupId, or KAFKA_BRIDGE_GROUP_ID/],
    [{ KAFKA_BRIDGE_BOOTSTRAP_SERVERS: "" }, /KAFKA_BRIDGE_BOOTSTRAP_SERVERS is not set/],
    [{ KAFKA_BRIDGE_CONCURRENCY: "many" }, /concurrency must be a whole number/],
    [{ KAFKA_BRIDGE_GRACE_SECONDS: "-1" }, /graceSeconds must be 0 or more/],
    [{ KAFKA_BRIDGE_LOG_LEVEL: "loud" }, /KAFKA_BRIDGE_LOG_LEVEL must be/],
  ];
  for (const [change, message] of cases) {
    assert.throws(
      () => workerSettings({}, { ...ENVIRON, ...change }),
      (error) => error instanceof ConfigurationError && message.test(error.message),
    );
  }
});

void test("the producer partitions as Java does, and gives up within a session", () => {
  const properties = producerProperties(workerSettings({}, ENVIRON).kafka);
  assert.equal(properties["partitioner"], "murmur2_random");
  assert.equal(properties["enable.idempotence"], true);
  assert.equal(properties["message.timeout.ms"], 6000);
  assert.equal(properties["session.timeout.ms"], undefined);
});

void test("a line of the log is a JSON document, with the parts of an error", () => {
  const lines: string[] = [];
  const logger = jsonLogger("info", (line) => lines.push(line));
  logger.debug({}, "dropped");
  logger.warn({ job: 1n, error: new TypeError("wrong") }, "kept");
  const [document] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(lines.length, 1);
  assert.deepEqual([document?.["level"], document?.["msg"], document?.["job"]], [40, "kept", "1"]);
  assert.equal((document?.["error"] as { type: string }).type, "TypeError");
});
