/** Takes each request from its arrival to the moment at which its offset may be committed. */

import { JobStopped, type StopReason } from "../errors.js";
import type { Handlers } from "../handlers.js";
import { Job } from "../job.js";
import { KafkaError } from "../kafka/failures.js";
import type { Received } from "../kafka/records.js";
import { payloadOf } from "../payloads.js";
import { decode, encodingOf } from "../protocol/codec.js";
import { UnreadableError } from "../protocol/unreadable.js";
import { interrupted, rejection } from "./admission.js";
import { Backlog } from "./backlog.js";
import type { ControlReader } from "./control.js";
import type { DeadLetters } from "./dead-letters.js";
import { type Ending, returned, stopped, thrown } from "./ending.js";
import { type Arrival, InFlightJob } from "./in-flight.js";
import type { Ledger } from "./ledger.js";
import type { Membership } from "./membership.js";
import { Partition } from "./partition.js";
import { AbandonedError, type Begin, JobReporter, type Publishing } from "./reporter.js";
import { NOT_STARTED, type Snapshot } from "./snapshot.js";

const MOST_WAITING = 5_000;
const MOST_DEAD_LETTERS = 1_000;

/** What the scheduler works with. */
export interface Surroundings {
  readonly handlers: Handlers;
  readonly ledger: Ledger;
  readonly control: Pick<ControlReader, "reason">;
  readonly deadLetters: DeadLetters;
  readonly membership: Pick<Membership, "mayPublish">;
  readonly publishing: Publishing;
  readonly concurrency: number;
  readonly maxDeliveries: number;
}

/** Runs the jobs of the assigned partitions. */
export class Scheduler {
  readonly #with: Surroundings;
  readonly #partitions = new Map<number, Partition>();
  readonly #jobs = new Map<string, InFlightJob>();
  readonly #backlog = new Backlog();
  #undecided: Arrival[] = [];
  #slotsTaken = 0;
  #suspect: InFlightJob | undefined;
  #epoch = 0;
  #isStopping = false;

  constructor(surroundings: Surroundings) {
    this.#with = surroundings;
  }

  /** Whether enough requests wait here. */
  get isFull(): boolean {
    const waiting = this.#undecided.length + this.#backlog.size;
    return waiting >= MOST_WAITING || this.#with.deadLetters.unsent >= MOST_DEAD_LETTERS;
  }

  /** The jobs that are accepted and not over, or whose terminal event is on its way. */
  get inFlight(): InFlightJob[] {
    return [...this.#jobs.values()].filter(({ phase }) => phase !== "queued");
  }

  // Partitions.

  /** Begins with partitions that the group has assigned. */
  assigned(numbers: readonly number[]): void {
    this.#epoch += 1;
    for (const number of numbers) this.#partitions.set(number, new Partition(number, this.#epoch));
    for (const job of this.#lostJobs()) {
      if (!job.spots.some(({ partition }) => this.#partitions.has(partition.number))) {
        this.#abandon(job);
      }
    }
  }

  /**
   * Abandons the jobs of lost partitions that came back, but whose requests others have committed.
   *
   * @param committed by partition, the offset that the group has committed
   */
  committedByOthers(committed: ReadonlyMap<number, number>): void {
    for (const job of this.#lostJobs()) {
      const isOver = ({ partition, offset }: InFlightJob["spots"][number]): boolean =>
        offset < (committed.get(partition.number) ?? 0);
      if (job.spots.every(isOver)) this.#abandon(job);
    }
  }

  /** Whether there are jobs whose partition was lost, and which still run. */
  get hasLostJobs(): boolean {
    return this.#lostJobs().length > 0;
  }

  #lostJobs(): InFlightJob[] {
    return [...this.#jobs.values()].filter(({ ownership }) => !ownership.isOwned);
  }

  /** Returns by partition what to commit. */
  positions(onlyMoved: boolean): Map<number, number> {
    const positions = new Map<number, number>();
    for (const [number, partition] of this.#partitions) {
      const at = onlyMoved ? partition.moved : partition.position;
      if (at !== undefined) positions.set(number, at);
    }
    return positions;
  }

  /** Notes what was committed. */
  committed(positions: ReadonlyMap<number, number>): void {
    for (const [number, offset] of positions) this.#partitions.get(number)?.committed(offset);
  }

  /** Leaves partitions that the group has given to others, or may have: their jobs run on, silently. */
  lost(numbers: readonly number[]): void {
    this.#forget(numbers);
    for (const job of this.jobsOf(numbers)) job.ownership.isOwned = false;
  }

  /** Leaves partitions whose jobs have ended or were released. */
  left(numbers: readonly number[]): void {
    this.#forget(numbers);
    for (const job of this.jobsOf(numbers)) this.#abandon(job);
  }

  /** Drops the jobs of partitions that wait, and hands back those that are accepted only. */
  async releaseUnstarted(numbers: readonly number[], why: string): Promise<void> {
    this.#dropWaiting(numbers);
    await this.#release(numbers, why, ["accepting"]);
  }

  /** Hands back the jobs of partitions that run. */
  async releaseRunning(numbers: readonly number[], why: string): Promise<void> {
    await this.#release(numbers, why, ["accepting", "running"]);
  }

  /** Accepts nothing more. */
  stop(): void {
    this.#isStopping = true;
    for (const job of this.#lostJobs()) this.#abandon(job);
  }

  /** Returns the jobs of partitions that are in flight. */
  jobsOf(numbers: readonly number[]): InFlightJob[] {
    return this.inFlight.filter(({ spots }) =>
      spots.some(({ partition }) => numbers.includes(partition.number)),
    );
  }

  #forget(numbers: readonly number[]): void {
    this.#dropWaiting(numbers);
    for (const number of numbers) this.#partitions.delete(number);
  }

  #dropWaiting(numbers: readonly number[]): void {
    this.#undecided = this.#undecided.filter(
      ({ spot }) => !numbers.includes(spot.partition.number),
    );
    for (const job of [...this.#backlog]) {
      if (!job.spots.some(({ partition }) => numbers.includes(partition.number))) continue;
      this.#backlog.remove(job);
      this.#over(job);
    }
  }

  async #release(numbers: readonly number[], why: string, phases: string[]): Promise<void> {
    const jobs = this.jobsOf(numbers).filter(({ phase }) => phases.includes(phase));
    await Promise.all(
      jobs.map(async (job) => {
        job.phase = "releasing";
        const isSent = job.reporter?.released(why);
        job.askToStop(new JobStopped("released", why));
        try {
          await isSent;
        } catch (error) {
          this.#log(job, "warn", { error }, "A job was released without an event");
        }
        this.#over(job);
      }),
    );
  }

  #abandon(job: InFlightJob): void {
    job.reporter?.abandon();
    job.askToStop(new JobStopped("lost", "another worker has the job"));
    this.#over(job);
  }

  #over(job: InFlightJob): void {
    job.phase = "over";
    if (this.#jobs.get(job.id) === job) this.#jobs.delete(job.id);
  }

  // Arrivals.

  /** Processes a record of the request topic. */
  receive(record: Received): void {
    const partition = this.#partitions.get(record.partition);
    if (partition === undefined) return;
    const spot = { partition, offset: record.offset };
    partition.consume(record.offset);
    if (record.value === null) {
      partition.finish(record.offset);
      return;
    }
    try {
      const request = decode("JobRequest", record.value);
      this.#undecided.push({ record, request, encoding: encodingOf(record.value), spot });
    } catch (error) {
      const reason = error instanceof Error ? error : new UnreadableError(String(error));
      this.#with.deadLetters.notifySender(record, reason);
      void this.#with.deadLetters.write(record, reason).then(() => {
        partition.finish(record.offset);
      });
    }
  }

  /** Decides about requests, and accepts jobs while there are slots. */
  work(): void {
    this.#undecided = this.#undecided.filter((arrival) => !this.#decide(arrival));
    while (!this.#isStopping && this.#slotsTaken < this.#with.concurrency) {
      const job = this.#backlog.first((each) => !this.#isSuspect(each) || !this.#suspect);
      if (job === undefined) return;
      this.#backlog.remove(job);
      if (!this.#reject(job)) void this.#run(job);
    }
  }

  /** Decides about a request; returns false if the ledger has to be read first. */
  #decide(arrival: Arrival): boolean {
    const { request, spot } = arrival;
    const id = request.correlation_id;
    const job = this.#jobs.get(id);
    if (job?.ownership.isOwned) {
      job.spots.push(spot); // published twice: its end is the end of both
      return true;
    }
    if (this.#with.ledger.isFinishedHere(id)) {
      spot.partition.finish(spot.offset);
      return true;
    }
    const snapshot = this.#with.ledger.snapshotFor({
      job: id,
      topic: request.response_topic,
      createdAt: request.created_at,
      epoch: spot.partition.epoch,
    });
    if (snapshot === undefined) return false;
    if (snapshot instanceof Error) {
      void this.#unanswerable(
        new InFlightJob(arrival, this.#with.membership, NOT_STARTED),
        snapshot,
      );
    } else if (snapshot.isFinished(id)) {
      if (job !== undefined) this.#abandon(job);
      spot.partition.finish(spot.offset);
    } else if (job === undefined) {
      this.#queue(arrival, snapshot);
    } else {
      this.#reattach(job, arrival, snapshot);
    }
    return true;
  }

  #queue(arrival: Arrival, snapshot: Snapshot): void {
    const before = snapshot.before(arrival.request.correlation_id);
    const job = new InFlightJob(arrival, this.#with.membership, before);
    this.#jobs.set(job.id, job);
    if (this.#reject(job)) return;
    this.#backlog.add(job);
    if (job.hasBegun && !before.isReleased && job.request.heartbeat_interval_ms > 0) {
      const { delivery, sequence, externalId, checkpoint } = before;
      job.reporter = this.#reporter(job, { delivery, sequence, externalId, checkpoint });
      job.reporter.note = `Waits for a free slot on worker ${this.#with.publishing.workerId}`;
      job.reporter.running(job.reporter.note);
    }
  }

  /** Continues with a job whose partition was lost and has come back. */
  #reattach(job: InFlightJob, { spot, request }: Arrival, snapshot: Snapshot): void {
    const { delivery } = snapshot.before(request.correlation_id);
    if (job.reporter !== undefined && delivery > job.reporter.delivery) {
      job.reporter.continueAs(delivery + 1); // others have started it meanwhile
    }
    job.spots = [spot];
    job.ownership.isOwned = true;
    this.cancel(job.id);
  }

  /** Ends a job without a start if it must not start; returns whether it does. */
  #reject(job: InFlightJob): boolean {
    const rejected = rejection(job.request, {
      before: job.before,
      cancelled: this.#with.control.reason(job.id),
      isTypeKnown: this.#with.handlers.get(job.request.job_type) !== undefined,
      maxDeliveries: this.#with.maxDeliveries,
      now: Date.now(),
    });
    if (rejected === undefined) return false;
    this.#backlog.remove(job);
    job.reporter = this.#reporter(job, this.#nextDelivery(job));
    void this.#end(job, rejected.ending, rejected.poison);
    return true;
  }

  #reporter(job: InFlightJob, begin: Begin): JobReporter {
    job.reporter?.abandon();
    const mayPublish = (): boolean => job.ownership.mayPublish();
    return new JobReporter(this.#with.publishing, job, mayPublish, begin);
  }

  #nextDelivery({ before }: InFlightJob): Begin {
    const { delivery, externalId, checkpoint } = before;
    return { delivery: delivery + 1, externalId, checkpoint };
  }

  /** Tells whether a job may have killed the workers that had it: only one such job runs at a time. */
  #isSuspect({ before }: InFlightJob): boolean {
    return interrupted(before) >= Math.max(1, Math.floor(this.#with.maxDeliveries / 2));
  }

  // One job.

  async #run(job: InFlightJob): Promise<void> {
    job.phase = "accepting";
    this.#slotsTaken += 1;
    if (this.#isSuspect(job)) this.#suspect = job;
    const reporter = this.#reporter(job, this.#nextDelivery(job));
    job.reporter = reporter;
    try {
      if (await this.#accept(job, reporter)) await this.#handle(job, reporter);
    } finally {
      this.#slotsTaken -= 1;
      if (this.#suspect === job) this.#suspect = undefined;
      this.work();
    }
  }

  /** Publishes ACCEPTED; returns whether the job is to be run now. */
  async #accept(job: InFlightJob, reporter: JobReporter): Promise<boolean> {
    try {
      await reporter.accepted();
      await reporter.permission();
    } catch (error) {
      if (job.phase === "accepting") await this.#unpublished(job, error);
      return false;
    }
    return job.phase === "accepting" && !this.#stopBeforeStart(job);
  }

  /** Ends a job that has waited since it was accepted, if it must not start any more. */
  #stopBeforeStart(job: InFlightJob): boolean {
    if (job.stopped === undefined) return false;
    void this.#end(job, stopped(job.stopped));
    return true;
  }

  /** Calls the handler; returns when it has ended. */
  async #handle(job: InFlightJob, reporter: JobReporter): Promise<void> {
    job.phase = "running";
    const began = performance.now();
    this.#log(job, "info", { delivery: reporter.delivery }, "Job started");
    let ending: Ending;
    try {
      const registration = this.#with.handlers.get(job.request.job_type);
      if (registration === undefined) throw new Error("the handler is gone");
      const payload = payloadOf(job.request, registration.schema);
      const handle = new Job(job.request, payload, reporter);
      const value = await registration.handler(handle, { signal: job.signal });
      ending = returned(value, job.stopped);
    } catch (error) {
      ending = thrown(error, job.stopped);
    }
    const seconds = Math.round(performance.now() - began) / 1000;
    const { state, facts } = ending;
    // TypeScript does not know that the phase may have changed meanwhile.
    if ((job.phase as string) !== "running") {
      this.#log(job, "info", { seconds }, "The handler of a job that was handed back has ended");
      return;
    }
    this.#log(job, "info", { state, seconds, error: facts.error ?? undefined }, "Job ended");
    void this.#end(job, ending);
  }

  async #end(job: InFlightJob, { state, facts }: Ending, poison?: Error): Promise<void> {
    job.phase = "ending";
    try {
      await job.reporter?.ended(state, facts);
    } catch (error) {
      await this.#unpublished(job, error);
      return;
    }
    this.#with.ledger.finishedHere(job.id);
    if (poison !== undefined) await this.#with.deadLetters.write(job.record, poison);
    job.finishSpots();
    this.#over(job);
  }

  /** Does what is left if an event cannot be published. */
  async #unpublished(job: InFlightJob, error: unknown): Promise<void> {
    if (error instanceof AbandonedError) {
      this.#over(job);
      return;
    }
    await this.#unanswerable(
      job,
      error instanceof Error ? error : new KafkaError(String(error), 0),
    );
  }

  async #unanswerable(job: InFlightJob, error: Error): Promise<void> {
    job.phase = "ending";
    this.#jobs.set(job.id, job);
    await this.#with.deadLetters.write(job.record, error);
    job.finishSpots();
    this.#over(job);
  }

  /** Stops a job, or ends it before it starts: a CANCEL of it was read. */
  cancel(id: string): void {
    const reason = this.#with.control.reason(id);
    const job = this.#jobs.get(id);
    if (job === undefined || reason === undefined) return;
    if (job.phase === "queued") this.#reject(job);
    else this.#ask(job, "cancelled", reason);
  }

  #ask(job: InFlightJob, why: StopReason, message: string): void {
    if (job.isActive) job.askToStop(new JobStopped(why, message));
  }

  /** Publishes what is due, and looks for deadlines. To be called many times a second. */
  tick(): void {
    const now = Date.now();
    for (const job of this.#jobs.values()) {
      const { deadline, expires_at } = job.request;
      const hasPassed = (time: number | null): boolean => time !== null && now > time;
      if (job.phase === "queued" && (hasPassed(deadline) || hasPassed(expires_at))) {
        if (this.#reject(job)) continue;
      } else if (deadline !== null && hasPassed(deadline)) {
        const message = `the job's deadline, ${new Date(deadline).toISOString()}, has passed`;
        this.#ask(job, "deadline", message);
      }
      if (job.phase === "queued" || job.isActive) job.reporter?.tick();
    }
  }

  #log(job: InFlightJob, level: "info" | "warn", fields: object, message: string): void {
    const about = { job: job.id, jobType: job.request.job_type, ...fields };
    this.#with.publishing.logger[level](about, message);
  }
}
