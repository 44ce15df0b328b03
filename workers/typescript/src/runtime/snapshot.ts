/** What a response topic says of the jobs since a moment. */

import type { Received } from "../kafka/records.js";
import { checkpointIn } from "../protocol/checkpoint.js";
import { decodeHead } from "../protocol/codec.js";
import { TERMINAL } from "../protocol/messages.js";

/** How far clocks may differ, in milliseconds. */
export const CLOCK_SKEW_MS = 60_000;
const MOST_FINISHED = 1_000_000;
const MOST_UNFINISHED = 100_000;

/** A job that was started and has no end. */
export interface Unfinished {
  /** The highest one seen. */
  readonly delivery: number;
  /** How many deliveries were released. */
  readonly released: number;
  /** Whether the last event of the highest delivery is RELEASED. */
  readonly isReleased: boolean;
  /** The next sequence of that delivery. */
  readonly sequence: bigint;
  readonly externalId: string | null;
  /** Of the last event that has one: not every worker knows checkpoints. */
  readonly checkpoint: string | null;
}

/** A job that nobody has started. */
export const NOT_STARTED: Unfinished = {
  delivery: 0,
  released: 0,
  isReleased: false,
  sequence: 0n,
  externalId: null,
  checkpoint: null,
};

/** Collects what the ledger says. Of jobs that nobody asks for, only the last ones are kept. */
export class Snapshot {
  readonly #finished = new Set<string>();
  readonly #unfinished = new Map<string, Unfinished>();
  #since: number;
  #newest = 0;
  #records = 0;

  /**
   * @param since from when on all events are in it, in milliseconds since 1970
   * @param epoch up to which assignment it counts
   * @param asked the jobs that are kept in any case
   */
  constructor(
    since: number,
    readonly epoch: number,
    readonly asked: ReadonlySet<string>,
  ) {
    this.#since = since;
  }

  /** How many records it was made from. */
  get records(): number {
    return this.#records;
  }

  /** From when on no job was left out. */
  get since(): number {
    return this.#since;
  }

  /** Adds a record of the response topic. What is not a status event is ignored. */
  add({ key, value, timestamp }: Received): void {
    this.#records += 1;
    this.#newest = Math.max(this.#newest, timestamp);
    const job = key?.toString();
    if (job === undefined || value === null || this.#finished.has(job)) return;
    try {
      this.#addEvent(job, decodeHead(value));
    } catch {
      return; // people and other programs may write to the topic, too
    }
  }

  #addEvent(job: string, event: ReturnType<typeof decodeHead>): void {
    if (TERMINAL.has(event.state)) {
      this.#unfinished.delete(job);
      this.#finished.add(job);
      this.#limit(this.#finished, MOST_FINISHED);
      return;
    }
    const before = this.#unfinished.get(job) ?? NOT_STARTED;
    const isReleased = event.state === "RELEASED";
    const released = before.released + Number(isReleased);
    this.#unfinished.set(
      job,
      event.delivery < before.delivery
        ? { ...before, released }
        : {
            delivery: event.delivery,
            released,
            isReleased,
            sequence: event.sequence + 1n,
            externalId: event.external_id ?? before.externalId,
            checkpoint: checkpointIn(event) ?? before.checkpoint,
          },
    );
    this.#limit(this.#unfinished, MOST_UNFINISHED);
  }

  #limit(jobs: Set<string> | Map<string, Unfinished>, most: number): void {
    if (jobs.size <= most + this.asked.size) return;
    for (const job of jobs.keys()) {
      if (this.asked.has(job)) continue;
      jobs.delete(job);
      this.#since = this.#newest + CLOCK_SKEW_MS;
      return;
    }
  }

  /** Tells whether it knows all of a job. */
  covers(job: string, createdAt: number, epoch: number): boolean {
    if (this.epoch < epoch) return false;
    return createdAt - CLOCK_SKEW_MS >= this.#since || this.asked.has(job);
  }

  /** Tells whether a job has a terminal event. */
  isFinished(job: string): boolean {
    return this.#finished.has(job);
  }

  /** Returns what is known of a job that has no end. */
  before(job: string): Unfinished {
    return this.#unfinished.get(job) ?? NOT_STARTED;
  }
}
