/** Writes requests that cannot be read, answered or finished to a topic, with the reason. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { failure } from "../errors.js";
import { RecordTooLargeError } from "../kafka/failures.js";
import type { Outgoing } from "../kafka/producer.js";
import type { Received } from "../kafka/records.js";
import { encode } from "../protocol/codec.js";
import { deadLetterHeaders, eventHeaders, REPLY_TOPIC, textHeader } from "../protocol/headers.js";
import { ErrorType } from "../protocol/messages.js";
import { block, ERROR_LENGTH } from "../protocol/texts.js";
import { isCorrelationId } from "../protocol/validity.js";
import type { Publishing } from "./reporter.js";

const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/** Writes the dead-letter topic. */
export class DeadLetters {
  readonly #to: Publishing;
  readonly #topic: string;
  #unsent = 0;

  constructor(to: Publishing, topic: string) {
    this.#to = to;
    this.#topic = topic;
  }

  /** How many are not acknowledged. */
  get unsent(): number {
    return this.#unsent;
  }

  /**
   * Writes a record, with headers that name its place and the reason. If it is too large with them,
   * it is written without its value: the headers say where the value is.
   *
   * @returns once the brokers have it, however long that takes
   */
  async write(record: Received, error: Error): Promise<void> {
    const { topic, partition, offset } = record;
    const about = { request: `${topic}[${partition}]@${offset}`, error };
    this.#to.logger.error(about, "Writing a request to the dead-letter topic");
    const added = deadLetterHeaders(record, new Error(block(error.message, ERROR_LENGTH)));
    const reason = added.map(([name, value]) =>
      name === "kafka_dlt-exception-fqcn"
        ? ([name, Buffer.from(error.name)] as const)
        : ([name, value] as const),
    );
    let letter: Outgoing = {
      topic: this.#topic,
      key: record.key,
      value: record.value,
      headers: [...record.headers, ...reason],
    };
    this.#unsent += 1;
    for (let pause = RETRY_MS; ; pause = Math.min(LONGEST_RETRY_MS, 2 * pause)) {
      try {
        await this.#to.sender.send(letter);
        break;
      } catch (failed) {
        if (failed instanceof RecordTooLargeError && letter.value !== null) {
          letter = { ...letter, value: null };
          continue;
        }
        this.#to.logger.error(
          { ...about, error: failed, retryMs: pause },
          "A dead letter could not be written; its offset is not committed",
        );
        await sleep(pause);
      }
    }
    this.#unsent -= 1;
  }

  /** Fails the task that waits for an unreadable request, if it is known. The event is in JSON. */
  notifySender(record: Received, error: Error): void {
    const correlationId = record.key?.toString() ?? "";
    const topic = textHeader(record.headers, REPLY_TOPIC);
    if (!isCorrelationId(correlationId) || !topic) return;
    const value = encode(
      "StatusEvent",
      {
        correlation_id: correlationId,
        event_id: randomUUID(),
        delivery: 1,
        sequence: 0n,
        state: "FAILED",
        occurred_at: Date.now(),
        worker_id: this.#to.workerId,
        message: null,
        progress: null,
        external_id: null,
        result: null,
        result_type: null,
        result_ref: null,
        error: failure(ErrorType.unreadable, error.message, false),
        attributes: {},
      },
      "json",
    );
    const headers = eventHeaders(correlationId, "json", record.headers);
    this.#to.sender.send({ topic, key: record.key, value, headers }).catch((failed: unknown) => {
      this.#to.logger.warn(
        { job: correlationId, error: failed },
        "The sender of an unreadable request could not be told",
      );
    });
  }
}
