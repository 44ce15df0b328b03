/** Reads a whole topic without a group: up to its end of this moment, or for as long as it is open. */

import Kafka from "@confluentinc/kafka-javascript";

import { type KafkaProperties, readerProperties } from "./connection.js";
import { connect, disconnect, partitionCount, poll, waitForFirst } from "./consuming.js";
import { kafkaError } from "./failures.js";
import type { Received } from "./records.js";

const BATCH_RECORDS = 1_000;
const WAIT_MS = 100;
const ANSWER_MS = 10_000;
const RETRY_MS = 1_000;

/** There is no topic of that name. */
export class TopicMissingError extends Error {
  override readonly name = "TopicMissingError";
}

/** The first offset of a partition, and its high watermark. */
interface Bounds {
  readonly first: number;
  readonly end: number;
}

/** A consumer that is assigned the partitions of one topic at a time. */
export class TopicReader {
  readonly #consumer: Kafka.KafkaConsumer;
  /** Asks for offsets: a client that is `read_committed` would hear of the last stable ones. */
  readonly #asking: Kafka.KafkaConsumer;
  /** By partition, the offset up to which all was read. */
  readonly #positions = new Map<number, number>();

  private constructor(consumer: Kafka.KafkaConsumer, asking: Kafka.KafkaConsumer) {
    this.#consumer = consumer;
    this.#asking = asking;
    consumer.on("partition.eof", ({ partition, offset }) => {
      this.#reached(partition, offset);
    });
  }

  /**
   * Connects.
   *
   * @throws KafkaError no broker answers
   */
  static async connect(properties: KafkaProperties, name: string): Promise<TopicReader> {
    const consumer = new Kafka.KafkaConsumer(readerProperties(properties, name), {
      "auto.offset.reset": "earliest",
    });
    const asking = new Kafka.KafkaConsumer(
      { ...readerProperties(properties, name), "isolation.level": "read_uncommitted" },
      {},
    );
    await Promise.all([connect(consumer), connect(asking)]);
    waitForFirst(consumer, WAIT_MS);
    return new TopicReader(consumer, asking);
  }

  #reached(partition: number, offset: number): void {
    this.#positions.set(partition, Math.max(offset, this.#positions.get(partition) ?? 0));
  }

  /**
   * Reads the records of a topic from a time on, up to the high watermarks of this moment.
   *
   * @param since milliseconds since 1970
   * @param each called with each record
   * @throws TopicMissingError there is no such topic
   * @throws KafkaError the brokers do not answer, or refuse
   */
  async readSince(topic: string, since: number, each: (record: Received) => void): Promise<void> {
    const bounds = await this.#allBounds(topic);
    const starts = await this.#startsSince(topic, since, bounds);
    this.#positions.clear();
    this.#consumer.assign([...starts].map(([partition, offset]) => ({ topic, partition, offset })));
    try {
      while ([...starts.keys()].some((number) => this.#lacks(number, bounds))) {
        for (const record of await poll(this.#consumer, BATCH_RECORDS)) {
          this.#reached(record.partition, record.offset + 1);
          each(record);
        }
      }
    } finally {
      this.#consumer.unassign();
    }
  }

  #lacks(partition: number, bounds: ReadonlyMap<number, Bounds>): boolean {
    const { first, end } = bounds.get(partition) ?? { first: 0, end: 0 };
    return first < end && (this.#positions.get(partition) ?? 0) < end;
  }

  async #allBounds(topic: string): Promise<Map<number, Bounds>> {
    const count = await partitionCount(this.#asking, topic);
    if (count === 0) throw new TopicMissingError(`there is no topic ${topic}`);
    const bounds = Array.from({ length: count }, (_, partition) => this.#bounds(topic, partition));
    return new Map((await Promise.all(bounds)).entries());
  }

  async #bounds(topic: string, partition: number): Promise<Bounds> {
    return await new Promise((resolve, reject) => {
      this.#asking.queryWatermarkOffsets(topic, partition, ANSWER_MS, (error, offsets) => {
        if (error as unknown) reject(kafkaError(error));
        else resolve({ first: offsets.lowOffset, end: offsets.highOffset });
      });
    });
  }

  /** Returns the first offsets since a time, of the partitions that have records since then. */
  async #startsSince(
    topic: string,
    since: number,
    bounds: ReadonlyMap<number, Bounds>,
  ): Promise<Map<number, number>> {
    const partitions = [...bounds.keys()];
    const young = await this.#offsetsAt(topic, partitions, Math.max(0, Math.floor(since)));
    const oldest = await this.#offsetsAt(topic, partitions, 0);
    const starts = new Map<number, number>();
    for (const [partition, { first, end }] of bounds) {
      // A broker that has records and finds none by time has no index of times, such as librdkafka's
      // mock cluster.
      const nothing = oldest.has(partition) ? end : first;
      const start = young.get(partition) ?? nothing;
      if (start < end) starts.set(partition, start);
    }
    return starts;
  }

  /** Returns the first offsets from a time on, of the partitions that have records from then on. */
  async #offsetsAt(
    topic: string,
    partitions: readonly number[],
    time: number,
  ): Promise<Map<number, number>> {
    const asked = partitions.map((partition) => ({ topic, partition, offset: time }));
    const found = await new Promise<Kafka.TopicPartitionOffset[]>((resolve, reject) => {
      this.#asking.offsetsForTimes(asked, ANSWER_MS, (error, offsets) => {
        if (error as unknown) reject(kafkaError(error));
        else resolve(offsets);
      });
    });
    const offsets = found.map(({ partition, offset }) => [partition, offset] as const);
    return new Map(offsets.filter(([, offset]) => offset >= 0));
  }

  /**
   * Reads a topic from its beginning, until it is told to stop.
   *
   * @param each called with each record
   * @throws TopicMissingError there is no such topic
   * @throws KafkaError something failed that does not heal by itself
   */
  async follow(topic: string, each: (record: Received) => void, stop: AbortSignal): Promise<void> {
    await this.#assignAll(topic);
    while (!stop.aborted) {
      for (const record of await poll(this.#consumer, BATCH_RECORDS)) {
        this.#reached(record.partition, record.offset + 1);
        each(record);
      }
    }
  }

  /** Follows all partitions of a topic, also those that it has got meanwhile. */
  async #assignAll(topic: string): Promise<void> {
    const count = await partitionCount(this.#asking, topic);
    if (count === 0) throw new TopicMissingError(`there is no topic ${topic}`);
    this.#consumer.assign(
      Array.from({ length: count }, (_, partition) => ({
        topic,
        partition,
        offset: this.#positions.get(partition) ?? -2, // the beginning
      })),
    );
  }

  /**
   * Waits until a topic that is followed was read up to the high watermarks of this moment.
   *
   * @throws KafkaError the brokers do not answer
   */
  async caughtUp(topic: string): Promise<void> {
    const bounds = await this.#allBounds(topic);
    if (bounds.size > this.#consumer.assignments().length) await this.#assignAll(topic);
    while ([...bounds.keys()].some((partition) => this.#lacks(partition, bounds))) {
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS / 4));
    }
  }

  /** Disconnects. */
  async close(): Promise<void> {
    await Promise.all([disconnect(this.#consumer), disconnect(this.#asking)]);
  }
}

/** Calls a function until it does not throw, with a pause after each failure. */
export async function persistently<T>(
  attempt: () => Promise<T>,
  failed: (error: unknown) => void,
  stop: AbortSignal,
): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (stop.aborted || error instanceof TopicMissingError) throw error;
      failed(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
