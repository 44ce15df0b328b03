import assert from "node:assert/strict";
import { test } from "node:test";

import { JobError, JobStopped } from "../src/errors.js";
import { TopicUnusableError } from "../src/kafka/failures.js";
import { encode } from "../src/protocol/codec.js";
import { eventually, record, request, RESPONSES, Stage } from "./fakes.js";

/** Returns a promise and the function that resolves it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** A handler that ends only when it is asked to. */
const untilStopped = async (_: unknown, { signal }: { signal: AbortSignal }): Promise<void> => {
  await new Promise<void>((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason as Error);
    });
  });
};

void test("a job is accepted, run and ended, in the encoding of its request", async () => {
  const stage = new Stage();
  stage.handle(({ correlationId }) => ({ did: correlationId }));
  for (const encoding of ["avro", "json"] as const) {
    const job = request();
    stage.arrive(job, encoding);
    await stage.until(job, "ACCEPTED", "SUCCEEDED");
    const [accepted, end] = stage.sender.events(job);
    assert.deepEqual([accepted?.sequence, end?.sequence], [0n, 1n]);
    assert.equal(end?.result?.toString(), `{"did":"${job.correlation_id}"}`);
    assert.equal(stage.sender.sent.at(-1)?.value?.[0] === 0xc3, encoding === "avro");
  }
  await eventually(() => stage.position === 2, "the offsets are finished");
});

void test("the trace of a request is in its events", async () => {
  const stage = new Stage();
  stage.handle(() => undefined);
  const job = request();
  stage.arrive(job, "avro", [
    ["tracestate", Buffer.from("a=1")],
    ["traceparent", Buffer.from("00-1-2-01")],
    ["other", Buffer.from("x")],
  ]);
  await stage.until(job, "ACCEPTED", "SUCCEEDED");
  const names = stage.sender.sent[1]?.headers.map(([name]) => name);
  assert.deepEqual(names, ["content-type", "kafka_correlationId", "tracestate", "traceparent"]);
});

void test("an error of the handler is the error of the job", async () => {
  const stage = new Stage();
  stage.handle(() => {
    throw new JobError("No space left", { type: "disk_full", retryable: false, details: null });
  });
  const job = request();
  stage.arrive(job);
  await stage.until(job, "ACCEPTED", "FAILED");
  assert.deepEqual(structuredClone(stage.sender.events(job)[1]?.error), {
    type: "disk_full",
    message: "No space left",
    retryable: false,
    details: null,
  });
});

void test("a job that another worker has finished is committed without an event", async () => {
  const stage = new Stage();
  stage.handle(() => assert.fail("it runs again"));
  const job = request();
  stage.tell(job, { state: "SUCCEEDED" });
  stage.tell(job, { state: "ACCEPTED", delivery: 2 });
  stage.arrive(job);
  await eventually(() => stage.position === 1, "the offset is finished");
  assert.deepEqual(stage.sender.states(job), []);
});

void test("a request that is published twice runs once", async () => {
  const stage = new Stage();
  const { opened, open } = gate();
  let runs = 0;
  stage.handle(async () => {
    runs += 1;
    await opened;
  });
  const job = request();
  stage.arrive(job);
  await stage.until(job, "ACCEPTED");
  stage.arrive(job);
  assert.equal(stage.position, 0);
  open();
  await eventually(() => stage.position === 2, "both offsets are finished");
  stage.arrive(job);
  await eventually(() => stage.position === 3, "the third offset is finished");
  assert.deepEqual([runs, stage.sender.states(job)], [1, ["ACCEPTED", "SUCCEEDED"]]);
});

void test("only offsets up to the oldest unfinished job are committed", async () => {
  const stage = new Stage(2);
  const { opened, open } = gate();
  const [slow, quick] = [request(), request()];
  stage.handle(async ({ correlationId }) => {
    if (correlationId === slow.correlation_id) await opened;
  });
  stage.arrive(slow);
  stage.arrive(quick);
  await stage.until(quick, "ACCEPTED", "SUCCEEDED");
  assert.equal(stage.position, 0);
  open();
  await eventually(() => stage.position === 2, "both offsets are finished");
});

void test("an interrupted job comes first, with heartbeats of its delivery until it starts", async () => {
  const stage = new Stage();
  const { opened, open } = gate();
  stage.handle(() => opened);
  const [busy, later, interrupted] = [request(), request(), request()];
  stage.arrive(busy);
  await stage.until(busy, "ACCEPTED");
  stage.tell(interrupted, { delivery: 2, sequence: 7n, external_id: "e-1" });
  stage.arrive(later);
  // Another assignment: the ledger is read again.
  stage.scheduler.assigned([]);
  stage.scheduler.assigned([1]);
  stage.scheduler.receive(
    record(interrupted.correlation_id, encoded(interrupted), { partition: 1, offset: 0 }),
  );
  stage.scheduler.work();
  await stage.until(interrupted, "RUNNING");
  open();
  await stage.until(interrupted, "RUNNING", "ACCEPTED", "SUCCEEDED");
  const [handover, accepted] = stage.sender.events(interrupted);
  assert.deepEqual([handover?.delivery, handover?.sequence], [2, 8n]);
  assert.deepEqual([accepted?.delivery, accepted?.sequence], [3, 0n]);
  assert.equal(accepted?.external_id, "e-1");
  await stage.until(later, "ACCEPTED", "SUCCEEDED");
  const keys = stage.sender.sent.map(({ key }) => key?.toString());
  assert.ok(keys.lastIndexOf(interrupted.correlation_id) < keys.lastIndexOf(later.correlation_id));
});

void test("after five interrupted deliveries a job fails and becomes a dead letter", async () => {
  const stage = new Stage();
  stage.handle(() => undefined);
  const [killer, released] = [request(), request()];
  for (let delivery = 1; delivery <= 5; delivery++) {
    stage.tell(killer, { delivery });
    stage.tell(released, { delivery });
  }
  stage.tell(released, { delivery: 5, state: "RELEASED" });
  stage.arrive(killer);
  stage.arrive(released);
  await stage.until(killer, "FAILED");
  await stage.until(released, "ACCEPTED", "SUCCEEDED");
  assert.equal(stage.sender.events(killer)[0]?.error?.type, "too_many_deliveries");
  assert.deepEqual(stage.sender.deadLetters, [killer.correlation_id]);
});

void test("a queued job that is cancelled ends at once, without a start", async () => {
  const stage = new Stage();
  const { opened, open } = gate();
  stage.handle(() => opened);
  const [busy, queued] = [request(), request()];
  stage.arrive(busy);
  await stage.until(busy, "ACCEPTED");
  stage.arrive(queued);
  stage.cancel(queued, "cleared by alice");
  await stage.until(queued, "CANCELLED");
  assert.equal(stage.sender.events(queued)[0]?.message, "cleared by alice");
  open();
});

void test("a running job that is cancelled is told why, and is CANCELLED when it has stopped", async () => {
  const stage = new Stage();
  let reason: unknown;
  stage.handle(async (job, context) => {
    context.signal.addEventListener("abort", () => {
      reason = context.signal.reason;
    });
    await untilStopped(job, context);
  });
  const job = request();
  stage.arrive(job);
  await stage.until(job, "ACCEPTED");
  stage.cancel(job, "cleared by alice");
  await stage.until(job, "ACCEPTED", "CANCELLED");
  assert.ok(reason instanceof JobStopped);
  assert.deepEqual([reason.why, reason.message], ["cancelled", "cleared by alice"]);
});

void test("a job that ends in its own way says that it was asked to stop", async () => {
  const stage = new Stage();
  const { opened, open } = gate();
  stage.handle(() => opened);
  const job = request();
  stage.arrive(job);
  await stage.until(job, "ACCEPTED");
  stage.cancel(job, "cleared by alice");
  open();
  await stage.until(job, "ACCEPTED", "SUCCEEDED");
  assert.deepEqual({ ...stage.sender.events(job)[1]?.attributes }, { stop_requested: "cancelled" });
});

void test("a running job stops at its deadline, and fails", async () => {
  const stage = new Stage();
  stage.handle(untilStopped);
  const job = request({ deadline: Date.now() + 100 });
  stage.arrive(job);
  await stage.until(job, "ACCEPTED");
  await eventually(() => {
    stage.scheduler.tick();
    return stage.sender.states(job).length === 2;
  }, "the deadline is seen");
  const error = stage.sender.events(job)[1]?.error;
  assert.deepEqual([error?.type, error?.retryable], ["deadline_exceeded", true]);
});

void test("jobs that must not start fail with the reserved errors", async () => {
  const stage = new Stage();
  stage.handle(() => assert.fail("it starts"));
  const reference = { uri: "s3://x", sha256: "0".repeat(64), size: 1n };
  const wanted = {
    expired: request({ expires_at: Date.now() - 1_000 }),
    deadline_exceeded: request({ deadline: Date.now() - 1_000 }),
    unknown_job_type: request({ job_type: "nobody.knows" }),
    unsupported_reference: request({ payload_ref: reference }),
  };
  for (const [type, job] of Object.entries(wanted)) {
    stage.arrive(job);
    await stage.until(job, "FAILED");
    assert.equal(stage.sender.events(job)[0]?.error?.type, type);
  }
});

void test("an unreadable request becomes a dead letter, and its task is told", async () => {
  const stage = new Stage();
  const job = request();
  const headers = [["kafka_replyTopic", Buffer.from(RESPONSES)]] as const;
  stage.scheduler.receive(record(job.correlation_id, Buffer.from("garbage"), { headers }));
  await stage.until(job, "FAILED");
  await eventually(() => stage.position === 1, "the offset is finished");
  assert.equal(stage.sender.events(job)[0]?.error?.type, "unreadable");
  assert.deepEqual(stage.sender.deadLetters, [job.correlation_id]);
});

void test("a tombstone is ignored", () => {
  const stage = new Stage();
  stage.scheduler.receive(record(request().correlation_id, null));
  assert.deepEqual([stage.position, stage.sender.sent], [1, []]);
});

void test("a job that cannot be answered becomes a dead letter, and does not start", async () => {
  const stage = new Stage();
  stage.handle(() => assert.fail("it starts"));
  stage.sender.refuse = ({ topic }) => {
    if (topic === RESPONSES) throw new TopicUnusableError("no such topic", 3);
  };
  const job = request();
  stage.arrive(job);
  await eventually(() => stage.position === 1, "the offset is finished");
  assert.deepEqual(stage.sender.deadLetters, [job.correlation_id]);
});

void test("a released job is another worker's: RELEASED, and its offset is not finished", async () => {
  const stage = new Stage();
  stage.handle(untilStopped);
  const job = request();
  stage.arrive(job);
  await stage.until(job, "ACCEPTED");
  await stage.scheduler.releaseRunning([0], "the worker shuts down");
  await stage.until(job, "ACCEPTED", "RELEASED");
  assert.deepEqual([stage.position, stage.scheduler.inFlight], [0, []]);
});

void test("a job whose partition was lost and came back goes on as the same delivery", async () => {
  const stage = new Stage();
  const { opened, open } = gate();
  let runs = 0;
  stage.handle(() => {
    runs += 1;
    return opened;
  });
  const job = request();
  stage.arrive(job);
  await stage.until(job, "ACCEPTED");
  stage.tell(job, {});
  stage.scheduler.lost([0]);
  stage.scheduler.assigned([0]);
  stage.arrive(job);
  await eventually(() => !stage.scheduler.hasLostJobs, "the job is reattached");
  open();
  await stage.until(job, "ACCEPTED", "SUCCEEDED");
  assert.deepEqual([runs, stage.sender.events(job)[1]?.delivery], [1, 1]);
});

void test("nothing is published of a job that another worker has finished meanwhile", async () => {
  const stage = new Stage();
  let reason: unknown;
  stage.handle(async (_, { signal }) => {
    await untilStopped(_, { signal }).catch((error: unknown) => {
      reason = error;
    });
  });
  const job = request();
  stage.arrive(job);
  await stage.until(job, "ACCEPTED");
  stage.scheduler.lost([0]);
  stage.tell(job, { delivery: 2, state: "SUCCEEDED" });
  stage.scheduler.assigned([0]);
  stage.arrive(job);
  await eventually(() => reason !== undefined, "the handler is told");
  assert.equal((reason as JobStopped).why, "lost");
  await eventually(() => stage.position === 2, "the offset is finished");
  assert.deepEqual(stage.sender.states(job), ["ACCEPTED"]);
});

void test("a worker that may not publish starts nothing, and keeps the end of a job", async () => {
  const stage = new Stage();
  let runs = 0;
  stage.handle(() => {
    runs += 1;
    stage.mayPublish = runs > 1;
  });
  const [first, second] = [request(), request()];
  stage.arrive(first);
  stage.arrive(second);
  await eventually(() => stage.scheduler.inFlight.length === 2, "both are in flight");
  assert.deepEqual([runs, stage.sender.states(first)], [1, ["ACCEPTED"]]);
  stage.mayPublish = true;
  await stage.until(first, "ACCEPTED", "SUCCEEDED");
  await stage.until(second, "ACCEPTED", "SUCCEEDED");
});

function encoded(job: ReturnType<typeof request>): Buffer {
  return encode("JobRequest", job, "avro");
}

void test("a job continues at the checkpoint of an earlier delivery", async () => {
  const stage = new Stage();
  const found: unknown[] = [];
  stage.handle((job) => {
    found.push(job.checkpoint);
    job.saveCheckpoint(null);
    found.push(job.checkpoint);
    for (const refused of ["x".repeat(4_000), () => 1]) {
      assert.throws(() => {
        job.saveCheckpoint(refused);
      }, JobError);
    }
  });
  const job = request();
  stage.tell(job, { attributes: { checkpoint: '{"page":7}' } });
  stage.tell(job, { delivery: 2 });
  stage.tell(job, { attributes: { checkpoint: "8" } });
  stage.arrive(job);
  await stage.until(job, "RUNNING", "ACCEPTED", "RUNNING", "SUCCEEDED");
  assert.deepEqual(found, [{ page: 7 }, undefined]);
  const saved = stage.sender.events(job).map(({ attributes }) => attributes["checkpoint"]);
  assert.deepEqual(saved, ['{"page":7}', '{"page":7}', "null", undefined]);
});
