/**
 * The response topic as the ledger: which jobs are finished, and how often others were delivered.
 *
 * It is read once for each assignment, from the time of the oldest waiting request up to its end. The
 * worker remembers the jobs that it finishes itself.
 */

import { TopicUnusableError } from "../kafka/failures.js";
import { TopicMissingError, type TopicReader } from "../kafka/topic-reader.js";
import type { Logger } from "../logger.js";
import type { ControlReader } from "./control.js";
import { CLOCK_SKEW_MS, Snapshot } from "./snapshot.js";

const OWN_JOBS = 100_000;
const RETRY_MS = 1_000;
const FAILURE_MS = 10_000;
/** Each reading that has to reach further back reaches so many times as far. */
const REACH = 4;

/** A request that waits for a decision. */
export interface Asking {
  readonly job: string;
  readonly topic: string;
  readonly createdAt: number;
  readonly epoch: number;
}

/** Why a response topic cannot be read: its jobs cannot be answered. */
interface Unusable {
  readonly error: Error;
  readonly until: number;
}

/** Knows, for each waiting request, the events of its job. */
export class Ledger {
  readonly #reader: Pick<TopicReader, "readSince">;
  readonly #control: Pick<ControlReader, "caughtUp">;
  readonly #logger: Logger;
  readonly #changed: () => void;
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #unusable = new Map<string, Unusable>();
  readonly #own = new Set<string>();
  readonly #asking = new Map<string, Map<string, Asking>>();
  #isReading = false;

  /** @param changed called when more is known */
  constructor(
    reader: Pick<TopicReader, "readSince">,
    control: Pick<ControlReader, "caughtUp">,
    logger: Logger,
    changed: () => void,
  ) {
    this.#reader = reader;
    this.#control = control;
    this.#logger = logger;
    this.#changed = changed;
  }

  /** Notes that the terminal event of a job is acknowledged. */
  finishedHere(job: string): void {
    this.#own.add(job);
    if (this.#own.size <= OWN_JOBS) return;
    const [oldest] = this.#own;
    this.#own.delete(oldest ?? "");
  }

  /** Tells whether this worker has finished a job, as far as it remembers. */
  isFinishedHere(job: string): boolean {
    return this.#own.has(job);
  }

  /**
   * Returns what is known of a request's response topic, or an error if it cannot be used. If it has
   * to be read first, starts that and returns undefined.
   */
  snapshotFor(asking: Asking): Snapshot | Error | undefined {
    const unusable = this.#unusable.get(asking.topic);
    if (unusable !== undefined && performance.now() < unusable.until) return unusable.error;
    const snapshot = this.#snapshots.get(asking.topic);
    if (snapshot?.covers(asking.job, asking.createdAt, asking.epoch)) return snapshot;
    const others = this.#asking.get(asking.topic) ?? new Map<string, Asking>();
    this.#asking.set(asking.topic, others.set(asking.job, asking));
    if (!this.#isReading) {
      this.#isReading = true;
      // Requests that arrive together are read for together.
      setImmediate(() => void this.#readAll());
    }
    return undefined;
  }

  async #readAll(): Promise<void> {
    for (let [next] = this.#asking; next !== undefined; [next] = this.#asking) {
      const [topic, asking] = next;
      this.#asking.delete(topic);
      try {
        this.#snapshots.set(topic, await this.#read(topic, asking));
      } catch (error) {
        if (error instanceof TopicMissingError || error instanceof TopicUnusableError) {
          this.#unusable.set(topic, { error, until: performance.now() + FAILURE_MS });
        } else {
          this.#logger.error({ topic, error }, "Reading the ledger failed; its jobs do not start");
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
      this.#changed();
    }
    this.#isReading = false;
  }

  async #read(topic: string, asking: ReadonlyMap<string, Asking>): Promise<Snapshot> {
    const [now, all] = [Date.now(), [...asking.values()]];
    const epoch = Math.max(...all.map((each) => each.epoch));
    const oldest = all.reduce((least, { createdAt }) => Math.min(least, createdAt), now);
    let since = oldest - 2 * CLOCK_SKEW_MS;
    const last = this.#snapshots.get(topic);
    if (last?.epoch === epoch) since = Math.min(since, now - REACH * (now - last.since));
    await this.#control.caughtUp();
    const snapshot = new Snapshot(since, epoch, new Set(asking.keys()));
    await this.#reader.readSince(topic, since, (record) => {
      snapshot.add(record);
    });
    this.#unusable.delete(topic);
    this.#logger.info({ topic, records: snapshot.records }, "Read the ledger");
    return snapshot;
  }
}
