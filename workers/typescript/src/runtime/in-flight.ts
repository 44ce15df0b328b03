/** A job of this worker, from the arrival of its request until nothing is left to do for it. */

import { type JobStopped } from "../errors.js";
import type { Received } from "../kafka/records.js";
import type { Encoding } from "../protocol/codec.js";
import type { Headers } from "../protocol/headers.js";
import type { JobRequest } from "../protocol/messages.js";
import { Ownership } from "./membership.js";
import type { Spot } from "./partition.js";
import type { JobReporter } from "./reporter.js";
import type { Unfinished } from "./snapshot.js";

/** A request that was consumed. */
export interface Arrival {
  readonly record: Received;
  readonly request: JobRequest;
  readonly encoding: Encoding;
  readonly spot: Spot;
}

/** What the worker is doing with a job. */
export type Phase =
  /** It waits for a slot. */
  | "queued"
  /** It has a slot; its ACCEPTED is not acknowledged yet, or the worker may not publish. */
  | "accepting"
  | "running"
  /** Its terminal event is being published, or its dead letter. */
  | "ending"
  /** Its RELEASED is being published. */
  | "releasing"
  /** Nothing is left to do. */
  | "over";

/** A job, with everything that this worker does for it. */
export class InFlightJob {
  readonly request: JobRequest;
  readonly encoding: Encoding;
  readonly headers: Headers;
  readonly record: Received;
  readonly ownership: Ownership;
  /** Where the request is: at several places if it was published more than once. */
  spots: Spot[];
  phase: Phase = "queued";
  /** From "accepting" on; of a queued job, the reporter of its handover heartbeats. */
  reporter: JobReporter | undefined;
  /** Why it was asked to stop. */
  stopped: JobStopped | undefined;
  readonly #controller = new AbortController();

  /** @param before what other workers have published of it */
  constructor(
    arrival: Arrival,
    membership: Ownership["membership"],
    readonly before: Unfinished,
  ) {
    this.request = arrival.request;
    this.encoding = arrival.encoding;
    this.record = arrival.record;
    this.headers = arrival.record.headers;
    this.spots = [arrival.spot];
    this.ownership = new Ownership(membership);
  }

  get id(): string {
    return this.request.correlation_id;
  }

  /** The signal of its handler. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether another worker has started it. */
  get hasBegun(): boolean {
    return this.before.delivery > 0;
  }

  /** Whether it is accepted and has not ended: it can be stopped and released. */
  get isActive(): boolean {
    return this.phase === "accepting" || this.phase === "running";
  }

  /** Asks the handler to stop; until it does, heartbeats say that it still runs. */
  askToStop(stopped: JobStopped): void {
    if (this.stopped !== undefined) return;
    this.stopped = stopped;
    if (this.reporter !== undefined) {
      this.reporter.note = `Asked to stop (${stopped.why}: ${stopped.message}), but still running`;
    }
    this.#controller.abort(stopped);
  }

  /** Notes that nothing is left to do for its requests. */
  finishSpots(): void {
    for (const { partition, offset } of this.spots) partition.finish(offset);
  }
}
