/** The jobs that wait for a slot: those that other workers have started come first. */

import type { InFlightJob } from "./in-flight.js";

/** Two queues. */
export class Backlog {
  readonly #begun = new Set<InFlightJob>();
  readonly #new = new Set<InFlightJob>();

  get size(): number {
    return this.#begun.size + this.#new.size;
  }

  add(job: InFlightJob): void {
    (job.hasBegun ? this.#begun : this.#new).add(job);
  }

  remove(job: InFlightJob): void {
    this.#begun.delete(job);
    this.#new.delete(job);
  }

  /** Returns the first job that may start. */
  first(mayStart: (job: InFlightJob) => boolean): InFlightJob | undefined {
    for (const job of this) if (mayStart(job)) return job;
    return undefined;
  }

  *[Symbol.iterator](): IterableIterator<InFlightJob> {
    yield* this.#begun;
    yield* this.#new;
  }
}
