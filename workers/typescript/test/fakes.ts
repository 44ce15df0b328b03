/** What the tests need instead of Kafka. */

import { randomUUID } from "node:crypto";

import type { Handler } from "../src/handlers.js";
import { Handlers } from "../src/handlers.js";
import type { Outgoing, Sender } from "../src/kafka/producer.js";
import type { Received } from "../src/kafka/records.js";
import { jsonLogger } from "../src/logger.js";
import { decode, encode, type Encoding } from "../src/protocol/codec.js";
import type { Headers } from "../src/protocol/headers.js";
import type { JobRequest, StatusEvent } from "../src/protocol/messages.js";
import { DeadLetters } from "../src/runtime/dead-letters.js";
import { Ledger } from "../src/runtime/ledger.js";
import { Scheduler } from "../src/runtime/scheduler.js";

export const REQUESTS = "jobs.requests";
export const RESPONSES = "jobs.responses";
export const DEAD_LETTERS = "jobs.dead-letters";
export const quiet = jsonLogger("error", () => undefined);

/** Returns a request of a new job. */
export function request(fields: Partial<JobRequest> = {}): JobRequest {
  return {
    correlation_id: randomUUID(),
    attempt: 1,
    job_type: "test",
    payload: null,
    payload_type: null,
    payload_ref: null,
    response_topic: RESPONSES,
    created_at: Date.now(),
    expires_at: null,
    deadline: null,
    heartbeat_interval_ms: 10_000,
    task: null,
    attributes: {},
    ...fields,
  };
}

/** Returns an event of a job, by another worker. */
export function event(job: JobRequest, fields: Partial<StatusEvent>): StatusEvent {
  return {
    correlation_id: job.correlation_id,
    event_id: randomUUID(),
    delivery: 1,
    sequence: 0n,
    state: "ACCEPTED",
    occurred_at: Date.now(),
    worker_id: "another",
    message: null,
    progress: null,
    external_id: null,
    result: null,
    result_type: null,
    result_ref: null,
    error: null,
    attributes: {},
    ...fields,
  };
}

/** Returns a record. */
export function record(key: string, value: Buffer | null, place: Partial<Received> = {}): Received {
  const defaults = { topic: REQUESTS, partition: 0, offset: 0, timestamp: Date.now(), headers: [] };
  return { ...defaults, key: Buffer.from(key), value, ...place };
}

/** Waits until something holds. */
export async function eventually(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`it did not come true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Keeps what is published. */
export class FakeSender implements Sender {
  readonly sent: Outgoing[] = [];
  /** Called before a record is kept; what it throws is thrown. */
  refuse: (record: Outgoing) => void = () => undefined;

  async send(outgoing: Outgoing): Promise<void> {
    await Promise.resolve();
    this.refuse(outgoing);
    this.sent.push(outgoing);
  }

  /** The events of a job. */
  events({ correlation_id }: JobRequest): StatusEvent[] {
    return this.sent
      .filter(({ topic, key }) => topic !== DEAD_LETTERS && key?.toString() === correlation_id)
      .map(({ value }) => decode("StatusEvent", value ?? Buffer.of()));
  }

  /** The states of a job's events. */
  states(job: JobRequest): string[] {
    return this.events(job).map(({ state }) => state);
  }

  /** The keys of the dead letters. */
  get deadLetters(): string[] {
    const letters = this.sent.filter(({ topic }) => topic === DEAD_LETTERS);
    return letters.map(({ key }) => key?.toString() ?? "");
  }
}

/** A scheduler whose surroundings are fakes. */
export class Stage {
  readonly sender = new FakeSender();
  readonly handlers = new Handlers();
  readonly scheduler: Scheduler;
  /** What the response topic contains when it is read. */
  readonly ledger: Received[] = [];
  readonly reasons = new Map<string, string>();
  mayPublish = true;
  #offset = 0;

  constructor(concurrency = 1) {
    const publishing = { sender: this.sender, workerId: "this", logger: quiet };
    const reader = {
      readSince: async (_topic: string, _since: number, each: (record: Received) => void) => {
        await Promise.resolve();
        this.ledger.forEach(each);
      },
    };
    const control = { caughtUp: () => Promise.resolve() };
    const scheduler: Scheduler = new Scheduler({
      handlers: this.handlers,
      ledger: new Ledger(reader, control, quiet, () => {
        scheduler.work();
      }),
      control: { reason: (job) => this.reasons.get(job) },
      deadLetters: new DeadLetters(publishing, DEAD_LETTERS),
      membership: { mayPublish: () => this.mayPublish },
      publishing,
      concurrency,
      maxDeliveries: 5,
    });
    this.scheduler = scheduler;
    scheduler.assigned([0]);
  }

  handle(handler: Handler<unknown>): void {
    this.handlers.add("test", undefined, handler);
  }

  /** Lets a request arrive; returns its offset. */
  arrive(job: JobRequest, encoding: Encoding = "avro", headers: Headers = []): number {
    const offset = this.#offset++;
    const value = encode("JobRequest", job, encoding);
    this.scheduler.receive(record(job.correlation_id, value, { offset, headers }));
    this.scheduler.work();
    return offset;
  }

  /** Lets another worker have published an event. */
  tell(job: JobRequest, fields: Partial<StatusEvent>): void {
    const value = encode("StatusEvent", event(job, fields), "avro");
    this.ledger.push(record(job.correlation_id, value, { topic: RESPONSES }));
  }

  /** Cancels a job. */
  cancel({ correlation_id }: JobRequest, reason: string): void {
    this.reasons.set(correlation_id, reason);
    this.scheduler.cancel(correlation_id);
  }

  /** Waits until a job has these events. */
  async until(job: JobRequest, ...states: string[]): Promise<void> {
    const came = (): string => this.sender.states(job).join();
    await eventually(() => came() === states.join(), `${states.join()} of a job with ${came()}`);
  }

  /** The offset that is committed. */
  get position(): number | undefined {
    return this.scheduler.positions(false).get(0);
  }
}
