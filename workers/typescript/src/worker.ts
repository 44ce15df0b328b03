/** A worker: the handlers of a service, and the process that runs its jobs. */

import { ConfigurationError } from "./errors.js";
import { type Handler, Handlers } from "./handlers.js";
import type { PayloadSchema } from "./payloads.js";
import { Service } from "./runtime/service.js";
import { type WorkerSettings, workerSettings } from "./settings.js";

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Runs the jobs of one service. */
export class Worker {
  readonly #settings: WorkerSettings;
  readonly #handlers = new Handlers();
  readonly #stopping = new AbortController();

  /**
   * @param settings what the environment does not set, or sets in another way
   * @throws ConfigurationError a setting is missing or not possible
   */
  constructor(settings: Partial<WorkerSettings> = {}) {
    this.#settings = workerSettings(settings, process.env);
  }

  /**
   * Registers the handler of a job type.
   *
   * @param schema checks payloads and gives them a type; a payload that it refuses fails its job as
   *   `invalid_payload`. Schemas of zod are such.
   * @throws ConfigurationError the type has a handler already
   */
  job(jobType: string, handler: Handler<unknown>): this;
  job<Payload>(jobType: string, schema: PayloadSchema<Payload>, handler: Handler<Payload>): this;
  job<Payload>(
    jobType: string,
    schemaOrHandler: PayloadSchema<Payload> | Handler<unknown>,
    handler?: Handler<Payload>,
  ): this {
    if (typeof schemaOrHandler === "function") {
      this.#handlers.add(jobType, undefined, schemaOrHandler);
    } else if (handler !== undefined) {
      this.#handlers.add(jobType, schemaOrHandler, handler);
    } else {
      throw new ConfigurationError(`job type ${jobType} has no handler`);
    }
    return this;
  }

  /**
   * Runs jobs until SIGTERM, SIGINT or {@link stop}: then running jobs have some time to end, and what
   * has not ended is released. A second signal ends the process at once.
   *
   * @throws ConfigurationError there is no handler
   * @throws Error Kafka cannot be used, and waiting would not help
   */
  async run(): Promise<void> {
    if (this.#handlers.size === 0) {
      throw new ConfigurationError("the worker has no handler: register some with job()");
    }
    const stop = (): void => {
      this.stop();
    };
    for (const signal of SIGNALS) process.once(signal, stop);
    try {
      await new Service(this.#settings, this.#handlers, this.#stopping.signal).run();
    } finally {
      for (const signal of SIGNALS) process.removeListener(signal, stop);
    }
  }

  /** Asks the worker to stop, as SIGTERM does. */
  stop(): void {
    this.#stopping.abort();
  }
}
