/** The handlers of a service, by job type. */

import { ConfigurationError } from "./errors.js";
import type { Job } from "./job.js";
import type { PayloadSchema } from "./payloads.js";

/** What a handler receives besides its job. */
export interface HandlerContext {
  /** Aborted when the job should stop. Its `reason` is a `JobStopped`, which says why. */
  readonly signal: AbortSignal;
}

/**
 * Does the work of a job. What it returns or throws ends the job.
 *
 * It returns nothing, bytes, a `Result`, or a value of JSON, in which integers may be `bigint`. It may
 * return a promise of that.
 */
export type Handler<Payload> = (job: Job<Payload>, context: HandlerContext) => unknown;

/** A handler, with the schema of its payload. */
export interface Registration {
  readonly schema: PayloadSchema<unknown>;
  readonly handler: Handler<unknown>;
}

const ANYTHING: PayloadSchema<unknown> = { parse: (value) => value };

/** The handlers of a service. */
export class Handlers {
  readonly #byType = new Map<string, Registration>();

  /** @throws ConfigurationError the type is empty, or has a handler already */
  add<Payload>(
    jobType: string,
    schema: PayloadSchema<Payload> | undefined,
    handler: Handler<Payload>,
  ): void {
    if (!jobType) throw new ConfigurationError("a job type must not be empty");
    if (this.#byType.has(jobType)) {
      throw new ConfigurationError(`job type ${jobType} has a handler already`);
    }
    this.#byType.set(jobType, {
      schema: schema ?? ANYTHING,
      handler: handler as Handler<unknown>,
    });
  }

  /** Returns the handler of a job type; undefined if there is none. */
  get(jobType: string): Registration | undefined {
    return this.#byType.get(jobType);
  }

  /** How many job types have a handler. */
  get size(): number {
    return this.#byType.size;
  }
}
