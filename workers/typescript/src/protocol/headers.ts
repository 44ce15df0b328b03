/** Headers of records. */

import type { Encoding } from "./codec.js";

/** The headers of a record, in their order. A name may occur twice. */
export type Headers = readonly (readonly [name: string, value: Buffer])[];

/** Where a record is, or was. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
}

export const REPLY_TOPIC = "kafka_replyTopic";
const CONTENT_TYPES: Record<Encoding, string> = {
  avro: "application/vnd.apache.avro",
  json: "application/json",
};
/** The headers of W3C Trace Context, with the longest value that is passed on, in bytes. */
const TRACE_BYTES = new Map([
  ["traceparent", 256],
  ["tracestate", 2048],
]);

/** Returns the headers of the events of a job: its id, and the trace of its request. */
export function eventHeaders(correlationId: string, encoding: Encoding, request: Headers): Headers {
  const trace = request.filter(([name, value]) => {
    const longest = TRACE_BYTES.get(name);
    return longest !== undefined && value.length > 0 && value.length <= longest;
  });
  const hasParent = trace.some(([name]) => name === "traceparent");
  return [
    ["content-type", Buffer.from(CONTENT_TYPES[encoding])],
    ["kafka_correlationId", Buffer.from(correlationId)],
    ...(hasParent ? trace : []),
  ];
}

/** Returns the headers that make a record a dead letter, as Spring Kafka writes them. */
export function deadLetterHeaders(place: Place, error: Error): Headers {
  const partition = Buffer.alloc(4);
  partition.writeInt32BE(place.partition);
  const long = (value: number): Buffer => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64BE(BigInt(value));
    return buffer;
  };
  return [
    ["kafka_dlt-original-topic", Buffer.from(place.topic)],
    ["kafka_dlt-original-partition", partition],
    ["kafka_dlt-original-offset", long(place.offset)],
    ["kafka_dlt-original-timestamp", long(place.timestamp)],
    ["kafka_dlt-exception-fqcn", Buffer.from(error.name)],
    ["kafka_dlt-exception-message", Buffer.from(error.message)],
  ];
}

/** Returns the last header of a name as text; undefined if there is none. */
export function textHeader(headers: Headers, name: string): string | undefined {
  return headers.findLast(([each]) => each === name)?.[1].toString();
}
