/** Publishes the status events of one delivery of a job, in order. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { failure } from "../errors.js";
import { RecordTooLargeError, TopicUnusableError } from "../kafka/failures.js";
import type { Sender } from "../kafka/producer.js";
import type { Logger } from "../logger.js";
import { withCheckpoint } from "../protocol/checkpoint.js";
import { encode, type Encoding } from "../protocol/codec.js";
import { eventHeaders, type Headers } from "../protocol/headers.js";
import {
  type JobRequest,
  type JobState,
  type Progress,
  type StatusEvent,
  TERMINAL,
} from "../protocol/messages.js";
import { line } from "../protocol/texts.js";

const PROGRESS_MS = 500;
const CHECKPOINT_MS = 250;
/** A heartbeat goes out after this share of its interval, so that it arrives within it. */
const HEARTBEAT_SHARE = 0.6;
const RETRY_MS = 1_000;
const LOOK_MS = 20;

/** The facts of an event that depend on what happened. */
export type Facts = Partial<
  Pick<
    StatusEvent,
    "message" | "progress" | "result" | "result_type" | "error" | "attributes" | "external_id"
  >
>;

/** Nothing more is published of this job: another worker has it. */
export class AbandonedError extends Error {
  override readonly name = "AbandonedError";
}

/** A job as its reporter needs it. */
export interface Reported {
  readonly request: JobRequest;
  readonly encoding: Encoding;
  /** Those of the request's record. */
  readonly headers: Headers;
}

/** What all reporters of a worker share. */
export interface Publishing {
  readonly sender: Sender;
  readonly workerId: string;
  readonly logger: Logger;
}

/** How a delivery begins. */
export interface Begin {
  readonly delivery: number;
  /** Of its first event. */
  readonly sequence?: bigint;
  /** What an earlier delivery has set. */
  readonly externalId?: string | null;
  /** What an earlier delivery has saved, as JSON text. */
  readonly checkpoint?: string | null;
}

/**
 * Events that must arrive (ACCEPTED, RELEASED and the end) wait until they may be published, and are
 * sent again until the brokers have them. Meanwhile, heartbeats and progress are dropped.
 */
export class JobReporter {
  /** The message of heartbeats. */
  note: string | null = null;
  readonly #to: Publishing;
  readonly #job: Reported;
  readonly #mayPublish: () => boolean;
  readonly #headers: Headers;
  readonly #key: Buffer;
  #delivery: number;
  #sequence: bigint;
  #externalId: string | null;
  #checkpoint: string | null;
  #isCheckpointUnsent = false;
  #lastCheckpoint = -CHECKPOINT_MS;
  #state: JobState | undefined;
  #isPending = false;
  #isAbandoned = false;
  #lastSent = 0;
  #lastProgress = 0;
  #unsent: { progress: Progress | null; message: string | null } | undefined;

  /**
   * @param mayPublish asked before each event
   * @param begin how this delivery begins
   */
  constructor(to: Publishing, job: Reported, mayPublish: () => boolean, begin: Begin) {
    this.#to = to;
    this.#job = job;
    this.#mayPublish = mayPublish;
    this.#delivery = begin.delivery;
    this.#sequence = begin.sequence ?? 0n;
    this.#externalId = begin.externalId ?? null;
    this.#checkpoint = begin.checkpoint ?? null;
    const id = job.request.correlation_id;
    this.#key = Buffer.from(id);
    this.#headers = eventHeaders(id, job.encoding, job.headers);
  }

  /** The number of this delivery. */
  get delivery(): number {
    return this.#delivery;
  }

  /** The id of the job in the system that does the work. */
  get externalId(): string | null {
    return this.#externalId;
  }

  /** What was saved last, as JSON text. */
  get checkpoint(): string | null {
    return this.#checkpoint;
  }

  /** Continues as another delivery: other workers have started the job meanwhile. */
  continueAs(delivery: number): void {
    this.#delivery = delivery;
  }

  /**
   * Publishes ACCEPTED.
   *
   * @returns once the brokers have it
   * @throws TopicUnusableError it cannot be published
   * @throws AbandonedError another worker has the job
   */
  async accepted(): Promise<void> {
    this.#lastProgress = performance.now();
    await this.#surely("ACCEPTED", {});
  }

  /** Publishes RELEASED, as {@link accepted} does. */
  async released(message: string): Promise<void> {
    await this.#surely("RELEASED", { message });
  }

  /**
   * Publishes the terminal event, as {@link accepted} does. If it is too large, smaller ones are
   * published until one is not.
   *
   * @throws RecordTooLargeError even the smallest one is too large
   */
  async ended(state: JobState, facts: Facts): Promise<void> {
    this.#publishUnsent();
    if (this.#isCheckpointUnsent) this.#running({});
    try {
      await this.#surely(state, facts);
    } catch (error) {
      if (!(error instanceof RecordTooLargeError)) throw error;
      const { correlation_id } = this.#job.request;
      this.#to.logger.warn({ job: correlation_id, state }, "The terminal event is too large");
      await this.#surely("FAILED", smaller(state, facts, error));
    }
  }

  async #surely(state: JobState, facts: Facts): Promise<void> {
    const [eventId, sequence] = [randomUUID(), this.#nextSequence()];
    this.#state = state;
    this.#isPending = true;
    for (;;) {
      await this.permission();
      try {
        await this.#send(this.#encoded(state, facts, eventId, sequence));
        break;
      } catch (error) {
        if (error instanceof TopicUnusableError || error instanceof RecordTooLargeError)
          throw error;
        const { correlation_id } = this.#job.request;
        this.#to.logger.error({ job: correlation_id, state, error }, "Publishing failed; retrying");
        await sleep(RETRY_MS);
      }
    }
    this.#isPending = false;
  }

  /**
   * Waits until events of the job may be published.
   *
   * @throws AbandonedError another worker has the job
   */
  async permission(): Promise<void> {
    while (!this.#isAbandoned && !this.#mayPublish()) await sleep(LOOK_MS);
    if (this.#isAbandoned) throw new AbandonedError("another worker has the job");
  }

  /** Publishes nothing more, whatever the handler does. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  /** Publishes progress, or a line for the task's log: now or shortly, at most twice a second. */
  report(progress: Progress | null, message: string | null): void {
    this.#unsent = {
      progress: progress ?? this.#unsent?.progress ?? null,
      message: message ?? this.#unsent?.message ?? null,
    };
    if (this.#isProgressDue()) this.#publishUnsent();
  }

  /** Publishes the id of the job in the system that does the work. */
  setExternalId(id: string): void {
    this.#externalId = line(id);
    this.#running({});
  }

  /** Publishes a checkpoint: now or shortly, at most four times a second. */
  saveCheckpoint(text: string): void {
    if (text === this.#checkpoint) return;
    this.#checkpoint = text;
    this.#isCheckpointUnsent = true;
    this.#publishCheckpoint();
  }

  #publishCheckpoint(): void {
    const isDue = performance.now() - this.#lastCheckpoint >= CHECKPOINT_MS;
    if (this.#isCheckpointUnsent && isDue) this.#running({});
  }

  /** Publishes RUNNING at once. */
  running(message: string): void {
    this.#running({ message });
  }

  /** Publishes what is due: delayed progress, a delayed checkpoint, or a heartbeat. To be called many times a second. */
  tick(): void {
    if (this.#unsent !== undefined && this.#isProgressDue()) this.#publishUnsent();
    this.#publishCheckpoint();
    const interval = this.#job.request.heartbeat_interval_ms;
    if (interval === 0 || performance.now() - this.#lastSent < interval * HEARTBEAT_SHARE) return;
    if (this.#state !== undefined) this.#running({ message: this.note });
  }

  #isProgressDue(): boolean {
    return performance.now() - this.#lastProgress >= PROGRESS_MS;
  }

  #publishUnsent(): void {
    if (this.#unsent === undefined || !this.#mayPublish()) return;
    const { progress, message } = this.#unsent;
    this.#unsent = undefined;
    this.#lastProgress = performance.now();
    this.#running({ progress, message: message ?? this.note });
  }

  #running(facts: Facts): void {
    const isOver = this.#state === "RELEASED" || (this.#state && TERMINAL.has(this.#state));
    if (this.#isPending || this.#isAbandoned || isOver || !this.#mayPublish()) return;
    this.#state = "RUNNING";
    const value = this.#encoded("RUNNING", facts, randomUUID(), this.#nextSequence());
    const saved = this.#checkpoint;
    this.#send(value).catch((error: unknown) => {
      const { correlation_id } = this.#job.request;
      if (error instanceof RecordTooLargeError && saved !== null && saved === this.#checkpoint) {
        this.#checkpoint = null; // heartbeats must go on
        this.#to.logger.warn({ job: correlation_id }, "A checkpoint is too large for the topic");
      }
      this.#to.logger.debug({ job: correlation_id, error }, "A heartbeat was not published");
    });
  }

  #nextSequence(): bigint {
    const sequence = this.#sequence;
    this.#sequence += 1n;
    return sequence;
  }

  #encoded(state: JobState, facts: Facts, eventId: string, sequence: bigint): Buffer {
    const isOpen = !TERMINAL.has(state);
    if (isOpen && this.#isCheckpointUnsent) {
      this.#isCheckpointUnsent = false;
      this.#lastCheckpoint = performance.now();
    }
    const event: StatusEvent = {
      correlation_id: this.#job.request.correlation_id,
      event_id: eventId,
      delivery: this.#delivery,
      sequence,
      state,
      occurred_at: Date.now(),
      worker_id: this.#to.workerId,
      progress: null,
      external_id: this.#externalId,
      result: null,
      result_type: null,
      result_ref: null,
      error: null,
      attributes: withCheckpoint(isOpen ? this.#checkpoint : null),
      ...facts,
      message: facts.message === null || facts.message === undefined ? null : line(facts.message),
    };
    return encode("StatusEvent", event, this.#job.encoding);
  }

  async #send(value: Buffer): Promise<void> {
    this.#lastSent = performance.now();
    const topic = this.#job.request.response_topic;
    await this.#to.sender.send({ topic, key: this.#key, value, headers: this.#headers });
  }
}

function smaller(state: JobState, { error, attributes }: Facts, cause: Error): Facts {
  const attached = attributes === undefined ? {} : { attributes };
  if (state === "SUCCEEDED") {
    const message = `the result is too large for the response topic: ${cause.message}`;
    return { error: failure("result_too_large", message, false), ...attached };
  }
  const { type, message, retryable } = error ?? failure(state, cause.message, true);
  return { error: failure(type, line(message, 200), retryable), ...attached };
}
