/** Records as the client receives them. */

import type Kafka from "@confluentinc/kafka-javascript";

import type { Headers, Place } from "../protocol/headers.js";

/** A record of a topic. */
export interface Received extends Place {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
}

/** Returns a message of the client as a record. */
export function received(message: Kafka.Message): Received {
  return {
    topic: message.topic,
    partition: message.partition,
    offset: message.offset,
    timestamp: message.timestamp ?? 0,
    key: asBuffer(message.key),
    value: message.value,
    headers: (message.headers ?? []).flatMap((each) =>
      Object.entries(each).map(([name, value]) => [name, Buffer.from(value)] as const),
    ),
  };
}

function asBuffer(key: Buffer | string | null | undefined): Buffer | null {
  return key === null || key === undefined ? null : Buffer.from(key);
}
