/** A member of the service's consumer group, which reads the request topic. */

import Kafka from "@confluentinc/kafka-javascript";

import { groupProperties, type KafkaProperties } from "./connection.js";
import { connect, disconnect, partitionCount, poll, waitForFirst } from "./consuming.js";
import { isDisconnection, isFatal, kafkaError } from "./failures.js";
import type { Received } from "./records.js";
import { TopicMissingError } from "./topic-reader.js";

const BATCH_RECORDS = 500;
const WAIT_MS = 100;
const LEAVE_POLLS = 3;
const COMMITTED_MS = 5_000;

/**
 * Called within {@link GroupConsumer.poll} and {@link GroupConsumer.close}, one at a time; only
 * `disconnected` at any time.
 */
export interface Rebalances {
  /** The group has given partitions to this member. */
  assigned(partitions: number[]): Promise<void>;
  /** The group takes partitions back. Others get them when this returns. */
  revoked(partitions: number[]): Promise<void>;
  /** The session has expired: others may have the partitions already. */
  lost(partitions: number[]): void;
  /** A broker is away, perhaps the one that knows the group. */
  disconnected(): void;
}

interface Rebalance {
  readonly isAssignment: boolean;
  readonly partitions: Kafka.TopicPartition[];
}

/** Methods of the client that its types do not have. */
type GroupMember = Kafka.KafkaConsumer & {
  incrementalAssign(partitions: Kafka.TopicPartition[]): void;
  incrementalUnassign(partitions: Kafka.TopicPartition[]): void;
  assignmentLost(): boolean;
  commitCb(offsets: Kafka.TopicPartitionOffset[], then: (error: unknown) => void): void;
};

/** By partition, the offset of the next record. */
export type Positions = ReadonlyMap<number, number>;

/** Reads one topic as a member of a group. Offsets are committed only by {@link commit}. */
export class GroupConsumer {
  readonly #consumer: GroupMember;
  readonly #topic: string;
  readonly #rebalances: Rebalances;
  readonly #waiting: Rebalance[] = [];
  /** By partition, whether it is paused. */
  readonly #held = new Map<number, boolean>();

  private constructor(properties: KafkaProperties, topic: string, group: string, to: Rebalances) {
    this.#topic = topic;
    this.#rebalances = to;
    this.#consumer = new Kafka.KafkaConsumer(
      {
        ...groupProperties(properties, group),
        // The group waits until (un)assign is called, which is done between two polls.
        rebalance_cb: (error: Kafka.LibrdKafkaError, partitions: Kafka.TopicPartition[]) => {
          const isAssignment = error.code === Kafka.CODES.ERRORS.ERR__ASSIGN_PARTITIONS;
          this.#waiting.push({ isAssignment, partitions });
        },
      },
      { "auto.offset.reset": "earliest" },
    ) as GroupMember;
  }

  /**
   * Joins a group.
   *
   * @param failed called with an error after which the group cannot be used any more
   * @throws TopicMissingError there is no such topic
   * @throws KafkaError no broker answers, or this client may not read the topic
   */
  static async join(
    properties: KafkaProperties,
    topic: string,
    group: string,
    rebalances: Rebalances,
    failed: (error: Error) => void,
  ): Promise<GroupConsumer> {
    const self = new GroupConsumer(properties, topic, group, rebalances);
    self.#consumer.on("event.error", (error) => {
      if (isFatal(error)) failed(kafkaError(error));
      else if (isDisconnection(error)) rebalances.disconnected();
    });
    await connect(self.#consumer);
    if ((await partitionCount(self.#consumer, topic)) === 0) {
      throw new TopicMissingError(`there is no topic ${topic}: create it first`);
    }
    waitForFirst(self.#consumer, WAIT_MS);
    self.#consumer.subscribe([topic]);
    return self;
  }

  /**
   * Returns the records that are there, after a wait for the first one of a tenth of a second.
   *
   * @throws KafkaError something failed that does not heal by itself
   */
  async poll(): Promise<Received[]> {
    const records = await poll(this.#consumer, BATCH_RECORDS);
    return records.filter(({ partition }) => this.#held.has(partition));
  }

  /** Does what the group has asked for meanwhile. Not to be called while a poll is under way. */
  async rebalance(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.isAssignment) await this.#assign(next.partitions);
      else await this.#unassign(next.partitions);
    }
  }

  async #assign(partitions: Kafka.TopicPartition[]): Promise<void> {
    this.#consumer.incrementalAssign(partitions);
    for (const { partition } of partitions) this.#held.set(partition, false);
    await this.#rebalances.assigned(partitions.map(({ partition }) => partition));
  }

  async #unassign(partitions: Kafka.TopicPartition[]): Promise<void> {
    const numbers = partitions.map(({ partition }) => partition);
    if (this.#consumer.assignmentLost()) this.#rebalances.lost(numbers);
    else await this.#rebalances.revoked(numbers);
    for (const number of numbers) this.#held.delete(number);
    this.#consumer.incrementalUnassign(partitions);
  }

  /** Pauses all partitions, or resumes them. A paused consumer is polled all the same. */
  hold(isHeld: boolean): void {
    const changed = [...this.#held].filter(([, was]) => was !== isHeld);
    if (changed.length === 0) return;
    const partitions = changed.map(([partition]) => ({ topic: this.#topic, partition }));
    if (isHeld) this.#consumer.pause(partitions);
    else this.#consumer.resume(partitions);
    for (const [partition] of changed) this.#held.set(partition, isHeld);
  }

  /**
   * Returns by partition what the group has committed.
   *
   * @throws KafkaError the brokers do not say
   */
  async committed(partitions: readonly number[]): Promise<Map<number, number>> {
    const asked = partitions.map((partition) => ({ topic: this.#topic, partition }));
    const found = await new Promise<Kafka.TopicPartitionOffset[]>((resolve, reject) => {
      this.#consumer.committed(asked, COMMITTED_MS, (error, offsets) => {
        if (error as unknown) reject(kafkaError(error));
        else resolve(offsets);
      });
    });
    const offsets = found.map(({ partition, offset }) => [partition, offset] as const);
    return new Map(offsets.filter(([, offset]) => offset >= 0));
  }

  /**
   * Commits positions, without metadata.
   *
   * @throws KafkaError the group refuses, for example because this is no longer a member of it
   */
  async commit(positions: Positions): Promise<void> {
    const offsets = [...positions].map(([partition, offset]) => ({
      topic: this.#topic,
      partition,
      offset,
    }));
    if (offsets.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      this.#consumer.commitCb(offsets, (error) => {
        if (error) reject(kafkaError(error));
        else resolve();
      });
    });
  }

  /** Leaves the group: others get its partitions at once. */
  async close(): Promise<void> {
    try {
      this.#consumer.unsubscribe();
      for (let polls = 0; polls < LEAVE_POLLS; polls++) {
        await this.poll();
        await this.rebalance();
      }
    } finally {
      await disconnect(this.#consumer);
    }
  }
}
