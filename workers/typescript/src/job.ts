/** A job, as its handler sees it. */

import { JobError } from "./errors.js";
import type { JobReporter } from "./runtime/reporter.js";
import { CHECKPOINT_BYTES } from "./protocol/checkpoint.js";
import { parseJson, writeJson } from "./protocol/exact-json.js";
import type { JobRequest } from "./protocol/messages.js";
import { line, LINE_LENGTH } from "./protocol/texts.js";

const UNIT_LENGTH = 50;

/** What a progress report says besides the number. */
export interface ProgressOptions {
  /** How much there is to do, if known. */
  readonly total?: number;
  /** The unit of both numbers, such as `files`. */
  readonly unit?: string;
  /** A line for the task's log. */
  readonly message?: string;
}

/** One delivery of a job. */
export class Job<Payload = unknown> {
  readonly #reporter: JobReporter;

  constructor(
    /** The request, with the names of the protocol. */
    readonly request: JobRequest,
    /** The payload: undefined without one, a value if it is JSON, else a Buffer. */
    readonly payload: Payload,
    reporter: JobReporter,
  ) {
    this.#reporter = reporter;
  }

  /** The id of the job: the same in each delivery, so that it can serve as idempotency key. */
  get correlationId(): string {
    return this.request.correlation_id;
  }

  /** How many times a worker has picked up the job, from 1. */
  get delivery(): number {
    return this.#reporter.delivery;
  }

  /** The id of the job in the system that does the work, if this or an earlier delivery has set it. */
  get externalId(): string | null {
    return this.#reporter.externalId;
  }

  /** Publishes the id of the job in the system that does the work: later deliveries find it. */
  setExternalId(id: string): void {
    if (id.length > LINE_LENGTH) {
      throw new RangeError(`an external id has at most ${LINE_LENGTH} characters`);
    }
    this.#reporter.setExternalId(id);
  }

  /**
   * What {@link saveCheckpoint} saved last, in this or an earlier delivery, also on a worker in another
   * language; undefined if nothing, or if it is not JSON. Integers that no double has are `bigint`.
   */
  get checkpoint(): unknown {
    const text = this.#reporter.checkpoint;
    if (text === null) return undefined;
    try {
      return parseJson(text) ?? undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Saves how far the job is, for the delivery that continues it if this worker stops or dies. Save what is
   * done, after it is done. Returns at once; at most four events a second are published, always the latest.
   *
   * @param value a value of JSON, of at most 4,000 bytes; null clears the checkpoint
   * @throws JobError it has no JSON form, or is too large; the checkpoint before is kept
   */
  saveCheckpoint(value: unknown): void {
    let text: string | undefined;
    try {
      text = writeJson(value);
    } catch (error) {
      throw refused("not_serialisable", error instanceof Error ? error.message : String(error));
    }
    if (text === undefined) throw refused("not_serialisable", `JSON has no ${typeof value}`);
    const size = Buffer.byteLength(text);
    if (size > CHECKPOINT_BYTES) {
      throw refused("too_large", `it has ${size} bytes, and ${CHECKPOINT_BYTES} are allowed`);
    }
    this.#reporter.saveCheckpoint(text);
  }

  /**
   * Reports progress. At most two reports a second are published; the last one always is.
   *
   * @param completed how much is done
   * @throws RangeError a number is not finite
   */
  progress(completed: number, { total, unit, message }: ProgressOptions = {}): void {
    if (!Number.isFinite(completed) || (total !== undefined && !Number.isFinite(total))) {
      throw new RangeError(`progress must be finite numbers, not ${completed} of ${total}`);
    }
    const progress = {
      completed,
      total: total ?? null,
      unit: unit === undefined ? null : line(unit, UNIT_LENGTH),
    };
    this.#reporter.report(progress, message ?? null);
  }

  /** Publishes a line for the task's log. At most two a second are published; the last one always is. */
  message(text: string): void {
    this.#reporter.report(null, text);
  }
}

function refused(kind: string, why: string): JobError {
  const message = `the checkpoint was not saved: ${why}`;
  return new JobError(message, { type: `checkpoint_${kind}`, retryable: false });
}
