/** Runs a worker once, from joining its group to leaving it. */

import { setTimeout as sleep } from "node:timers/promises";

import type { Handlers } from "../handlers.js";
import { sessionTimeout } from "../kafka/connection.js";
import { GroupConsumer, type Rebalances } from "../kafka/group-consumer.js";
import { RecordProducer } from "../kafka/producer.js";
import { TopicReader } from "../kafka/topic-reader.js";
import type { WorkerSettings } from "../settings.js";
import { ControlReader } from "./control.js";
import { DeadLetters } from "./dead-letters.js";
import { Ledger } from "./ledger.js";
import { Membership } from "./membership.js";
import { Scheduler } from "./scheduler.js";

const TICK_MS = 50;
const COMMIT_MS = 500;
/** How long jobs may take to end before their partition goes to another worker, which waits. */
const REVOKE_GRACE_MS = 5_000;
/** How long the brokers may take to acknowledge RELEASED events. */
const RELEASE_MS = 5_000;

/** What ends the clients, in the order in which they have to end. */
type Closing = (() => Promise<void>)[];

/** Called between two polls, one after the other: so nothing here is concurrent but jobs. */
export class Service implements Rebalances {
  readonly #settings: WorkerSettings;
  readonly #handlers: Handlers;
  readonly #stopping: AbortSignal;
  readonly #membership: Membership;
  #scheduler!: Scheduler;
  #consumer!: GroupConsumer;
  #fatal: Error | undefined;
  #isCommitting = false;
  #nextCommit = 0;

  /** @param stopping aborted when the worker has to leave its group */
  constructor(settings: WorkerSettings, handlers: Handlers, stopping: AbortSignal) {
    this.#settings = settings;
    this.#handlers = handlers;
    this.#stopping = stopping;
    this.#membership = new Membership(sessionTimeout(settings.kafka));
  }

  /**
   * Runs until it has to leave its group.
   *
   * @throws Error Kafka cannot be used, and waiting would not help
   */
  async run(): Promise<void> {
    const closing: Closing = [];
    try {
      const scheduler = await this.#open(closing);
      const ticks = setInterval(() => {
        scheduler.tick();
      }, TICK_MS);
      try {
        while (!this.#stopping.aborted) await this.#step(scheduler.isFull);
        await this.#finish();
      } finally {
        clearInterval(ticks);
      }
    } finally {
      for (const close of closing) await close();
    }
  }

  /** Connects all clients. The group comes last: its partitions need the others. */
  async #open(closing: Closing): Promise<Scheduler> {
    const { kafka, logger, workerId, groupId, requestTopic, controlTopic } = this.#settings;
    const failed = (error: unknown): void => {
      this.#fatal = error instanceof Error ? error : new Error(String(error));
    };
    const producer = await RecordProducer.connect(kafka, failed);
    closing.unshift(() => producer.close());
    const control = await ControlReader.open(kafka, controlTopic, logger, failed);
    closing.unshift(() => control.close());
    const reader = await TopicReader.connect(kafka, "kafka-bridge-ledger");
    closing.unshift(() => reader.close());
    const publishing = { sender: producer, workerId, logger };
    const scheduler = new Scheduler({
      handlers: this.#handlers,
      ledger: new Ledger(reader, control, logger, () => {
        scheduler.work();
      }),
      control,
      deadLetters: new DeadLetters(publishing, this.#settings.deadLetterTopic),
      membership: this.#membership,
      publishing,
      concurrency: this.#settings.concurrency,
      maxDeliveries: this.#settings.maxDeliveries,
    });
    this.#scheduler = scheduler;
    control.cancelled = (job) => {
      scheduler.cancel(job);
    };
    this.#consumer = await GroupConsumer.join(kafka, requestTopic, groupId, this, failed);
    closing.unshift(() => this.#consumer.close());
    logger.info({ workerId, groupId, requestTopic }, "The worker is ready");
    return scheduler;
  }

  async #step(isHeld: boolean): Promise<void> {
    this.#consumer.hold(isHeld);
    this.#membership.aboutToPoll();
    for (const record of await this.#consumer.poll()) this.#scheduler.receive(record);
    await this.#consumer.rebalance();
    this.#scheduler.work();
    this.#confirmOrCommit();
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /** Commits what has moved. If the membership is in doubt, a commit of all asks the group. */
  #confirmOrCommit(): void {
    const { doubt } = this.#membership;
    if (this.#isCommitting || (doubt === undefined && performance.now() < this.#nextCommit)) return;
    const positions = this.#scheduler.positions(doubt === undefined);
    this.#nextCommit = performance.now() + COMMIT_MS;
    if (positions.size === 0) return;
    this.#isCommitting = true;
    void this.#commit(positions).then((isDone) => {
      this.#isCommitting = false;
      if (isDone && doubt !== undefined) this.#membership.confirmed(doubt);
    });
  }

  /** Commits; returns whether the group has accepted it. Else the requests are delivered again. */
  async #commit(positions: ReadonlyMap<number, number>): Promise<boolean> {
    try {
      await this.#consumer.commit(positions);
    } catch (error) {
      this.#settings.logger.debug({ error }, "The group has not accepted a commit");
      return false;
    }
    this.#scheduler.committed(positions);
    return true;
  }

  /** Stays in the group, starting nothing, until all jobs have ended or the grace is over. */
  async #finish(): Promise<void> {
    const { logger, graceSeconds, workerId } = this.#settings;
    const why = `worker ${workerId} shuts down`;
    this.#scheduler.stop();
    const all = [...this.#scheduler.positions(false).keys()];
    await inTime(this.#scheduler.releaseUnstarted(all, why), RELEASE_MS);
    const running = this.#scheduler.inFlight.length;
    logger.info({ running, graceSeconds }, "Stopping: waiting for running jobs");
    const end = performance.now() + 1000 * graceSeconds;
    while (this.#scheduler.inFlight.length > 0 && performance.now() < end) await this.#step(true);
    await inTime(this.#scheduler.releaseRunning(all, why), RELEASE_MS);
    await this.#drain(() => this.#scheduler.inFlight.length > 0, RELEASE_MS);
    await this.#commit(this.#scheduler.positions(false));
  }

  /** Waits while there is something to wait for, as a member of the group. */
  async #drain(isBusy: () => boolean, milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    while (isBusy() && performance.now() < end) {
      this.#membership.aboutToPoll();
      await sleep(TICK_MS);
    }
  }

  // Partitions come and go.

  async assigned(numbers: number[]): Promise<void> {
    this.#scheduler.assigned(numbers);
    this.#settings.logger.info({ partitions: numbers }, "Partitions assigned");
    if (!this.#scheduler.hasLostJobs) return;
    this.#scheduler.committedByOthers(await this.#consumer.committed(numbers));
  }

  async revoked(numbers: number[]): Promise<void> {
    const why = `another worker takes over from ${this.#settings.workerId}`;
    await inTime(this.#scheduler.releaseUnstarted(numbers, why), RELEASE_MS);
    const isBusy = (): boolean =>
      this.#scheduler.jobsOf(numbers).some(({ ownership }) => ownership.mayPublish());
    await this.#drain(isBusy, REVOKE_GRACE_MS);
    await inTime(this.#scheduler.releaseRunning(numbers, why), RELEASE_MS);
    await this.#drain(isBusy, RELEASE_MS);
    const positions = this.#scheduler.positions(false);
    await this.#commit(new Map([...positions].filter(([number]) => numbers.includes(number))));
    this.#scheduler.left(numbers);
    this.#settings.logger.info({ partitions: numbers }, "Partitions revoked");
  }

  lost(numbers: number[]): void {
    this.#settings.logger.warn({ partitions: numbers }, "Partitions lost: the session has expired");
    this.#scheduler.lost(numbers);
  }

  disconnected(): void {
    this.#membership.lostContact();
  }
}

async function inTime(work: Promise<void>, milliseconds: number): Promise<void> {
  await Promise.race([work, sleep(milliseconds, undefined, { ref: false })]);
}
