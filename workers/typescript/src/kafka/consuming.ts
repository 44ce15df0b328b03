/** What the consumers of this package have in common. */

import Kafka from "@confluentinc/kafka-javascript";

import { isFatal, kafkaError } from "./failures.js";
import { type Received, received } from "./records.js";

const CLOSE_MS = 5_000;
const METADATA_MS = 10_000;
/** After an error that heals by itself. */
const PAUSE_MS = 100;

/** Connects a consumer. */
export async function connect(consumer: Kafka.KafkaConsumer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    consumer.connect({}, (error) => {
      if (error as unknown) reject(kafkaError(error));
      else resolve();
    });
  });
}

/**
 * Makes a consumer wait only for the first record of a batch, and not for each.
 *
 * The client's own KafkaJS layer does the same. Without it, the first record of a batch would wait
 * for the last one.
 */
export function waitForFirst(consumer: Kafka.KafkaConsumer, milliseconds: number): void {
  consumer.setDefaultConsumeTimeout(milliseconds);
  (
    consumer as { setDefaultIsTimeoutOnlyForFirstMessage?: (isOnly: boolean) => void }
  ).setDefaultIsTimeoutOnlyForFirstMessage?.(true);
}

/**
 * Returns the records that are there, after a wait for the first one.
 *
 * @throws KafkaError something failed that does not heal by itself
 */
export async function poll(consumer: Kafka.KafkaConsumer, most: number): Promise<Received[]> {
  return await new Promise((resolve, reject) => {
    consumer.consume(most, (error, messages) => {
      if (!(error as unknown)) resolve(messages.map(received));
      else if (isFatal(error)) reject(kafkaError(error));
      else setTimeout(resolve, PAUSE_MS, []);
    });
  });
}

/**
 * Returns how many partitions a topic has; 0 if there is no such topic.
 *
 * @throws KafkaError the brokers do not say
 */
export async function partitionCount(client: Kafka.KafkaConsumer, topic: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    client.getMetadata({ topic, timeout: METADATA_MS }, (error, metadata) => {
      if (error as unknown) reject(kafkaError(error));
      else resolve(metadata.topics.find(({ name }) => name === topic)?.partitions.length ?? 0);
    });
  });
}

/** Disconnects a consumer; if it takes too long, it goes on in the background. */
export async function disconnect(consumer: Kafka.KafkaConsumer): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, CLOSE_MS);
    consumer.disconnect(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
