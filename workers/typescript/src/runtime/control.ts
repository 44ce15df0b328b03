/** Knows which jobs were cancelled: reads all of the control topic, from its beginning. */

import type { KafkaProperties } from "../kafka/connection.js";
import type { Received } from "../kafka/records.js";
import { persistently, TopicReader } from "../kafka/topic-reader.js";
import type { Logger } from "../logger.js";
import { decode } from "../protocol/codec.js";

const NO_REASON = "cancelled";

/** Reads commands for as long as the worker runs. */
export class ControlReader {
  readonly #reader: TopicReader;
  readonly #topic: string;
  readonly #logger: Logger;
  readonly #reasons = new Map<string, string>();
  readonly #stop = new AbortController();
  #reading: Promise<void> = Promise.resolve();

  /** Called with each job that is cancelled from now on. */
  cancelled: (correlationId: string) => void = () => undefined;

  private constructor(reader: TopicReader, topic: string, logger: Logger) {
    this.#reader = reader;
    this.#topic = topic;
    this.#logger = logger;
  }

  /**
   * Starts to read.
   *
   * @param failed called if the topic cannot be read any more
   * @returns once it is read to its end
   * @throws TopicMissingError there is no such topic
   * @throws KafkaError it cannot be read, and waiting would not help
   */
  static async open(
    properties: KafkaProperties,
    topic: string,
    logger: Logger,
    failed: (error: unknown) => void,
  ): Promise<ControlReader> {
    const reader = await TopicReader.connect(properties, "kafka-bridge-control");
    const self = new ControlReader(reader, topic, logger);
    const receive = self.#receive.bind(self);
    const reading = reader.follow(topic, receive, self.#stop.signal);
    self.#reading = reading.catch(failed);
    await Promise.race([self.caughtUp(), reading]);
    return self;
  }

  #receive({ value }: Received): void {
    if (value === null) return;
    try {
      const { command, correlation_id: job, reason } = decode("JobCommand", value);
      if (command !== "CANCEL") return;
      this.#reasons.set(job, reason ?? NO_REASON);
      this.cancelled(job);
    } catch (error) {
      this.#logger.debug({ error }, "A record of the control topic is not a command");
    }
  }

  /** Returns why a job was cancelled; undefined if it was not. */
  reason(correlationId: string): string | undefined {
    return this.#reasons.get(correlationId);
  }

  /** Waits until all commands of this moment are read. */
  async caughtUp(): Promise<void> {
    await persistently(
      () => this.#reader.caughtUp(this.#topic),
      (error) => {
        this.#logger.error({ error }, "Reading the control topic failed; retrying");
      },
      this.#stop.signal,
    );
  }

  /** Stops reading. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
    await this.#reader.close();
  }
}
