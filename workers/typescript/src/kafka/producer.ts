/** Publishes records, and says when the brokers have them. */

import Kafka from "@confluentinc/kafka-javascript";

import type { Headers } from "../protocol/headers.js";
import { type KafkaProperties, producerProperties } from "./connection.js";
import { isFatal, kafkaError } from "./failures.js";

const CLOSE_MS = 5_000;
/** No bytes, at an address: the client takes no bytes without an address for a null. */
const EMPTY = Buffer.alloc(1).subarray(0, 0);

/** A record to be published. */
export interface Outgoing {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
}

/** Publishes records. */
export interface Sender {
  /**
   * Publishes a record. Records of one key keep their order.
   *
   * @returns once the brokers have it
   * @throws KafkaError they do not have it; TopicUnusableError and RecordTooLargeError tell why
   */
  send(record: Outgoing): Promise<void>;
}

interface Waiting {
  resolve: () => void;
  reject: (error: Error) => void;
}

/** A producer whose records are acknowledged by all replicas that are in sync. */
export class RecordProducer implements Sender {
  readonly #producer: Kafka.Producer;

  private constructor(producer: Kafka.Producer) {
    this.#producer = producer;
    producer.on("delivery-report", (error, report) => {
      const { resolve, reject } = report.opaque as Waiting;
      // The types say that there is always an error; there is none if the record was delivered.
      if ((error as unknown) === null || (error as unknown) === undefined) resolve();
      else reject(kafkaError(error));
    });
  }

  /**
   * Connects.
   *
   * @param failed called with an error after which nothing can be published any more
   * @throws KafkaError no broker answers
   */
  static async connect(
    properties: KafkaProperties,
    failed: (error: Error) => void,
  ): Promise<RecordProducer> {
    const producer = new Kafka.Producer(producerProperties(properties));
    producer.on("event.error", (error) => {
      if (isFatal(error)) failed(kafkaError(error));
    });
    await new Promise<void>((resolve, reject) => {
      producer.connect({}, (error) => {
        if (error as unknown) reject(kafkaError(error));
        else resolve();
      });
    });
    producer.setPollInBackground(true);
    return new RecordProducer(producer);
  }

  send({ topic, key, value, headers }: Outgoing): Promise<void> {
    return new Promise((resolve, reject) => {
      const opaque: Waiting = { resolve, reject };
      try {
        this.#producer.produce(
          topic,
          null,
          value?.length === 0 ? EMPTY : value,
          key?.length === 0 ? EMPTY : key,
          null,
          opaque,
          headers.map(([name, content]) => ({ [name]: content })),
        );
      } catch (error) {
        reject(kafkaError(error));
      }
    });
  }

  /** Waits until all records are acknowledged, for some seconds at most, and disconnects. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#producer.disconnect(CLOSE_MS, () => {
        resolve();
      });
    });
  }
}
