/** What an error of the Kafka client means for a worker. */

import Kafka from "@confluentinc/kafka-javascript";

const { CODES } = Kafka;
const ERRORS = CODES.ERRORS;

/** An error of the Kafka client. */
export class KafkaError extends Error {
  override readonly name: string = "KafkaError";

  constructor(
    message: string,
    readonly code: number,
  ) {
    super(message);
  }
}

/** A record cannot be published on its topic: there is no such topic, or no permission. */
export class TopicUnusableError extends KafkaError {
  override readonly name = "TopicUnusableError";
}

/** A record is larger than the topic, or the client, permits. */
export class RecordTooLargeError extends KafkaError {
  override readonly name = "RecordTooLargeError";
}

const TOPIC_UNUSABLE: ReadonlySet<number> = new Set([
  ERRORS.ERR_UNKNOWN_TOPIC_OR_PART,
  ERRORS.ERR__UNKNOWN_TOPIC,
  ERRORS.ERR__UNKNOWN_PARTITION,
  ERRORS.ERR_TOPIC_EXCEPTION,
  ERRORS.ERR_TOPIC_AUTHORIZATION_FAILED,
]);
const DISCONNECTED: ReadonlySet<number> = new Set([
  ERRORS.ERR__TRANSPORT,
  ERRORS.ERR__ALL_BROKERS_DOWN,
]);
const TOO_LARGE: ReadonlySet<number> = new Set([
  ERRORS.ERR_MSG_SIZE_TOO_LARGE,
  ERRORS.ERR_RECORD_LIST_TOO_LARGE,
]);
/** Errors that do not heal: the worker has to be started again, by a person or a supervisor. */
const FATAL: ReadonlySet<number> = new Set([
  ERRORS.ERR__FATAL,
  ERRORS.ERR__AUTHENTICATION,
  ERRORS.ERR_GROUP_AUTHORIZATION_FAILED,
  ERRORS.ERR_TOPIC_AUTHORIZATION_FAILED,
  ERRORS.ERR_FENCED_INSTANCE_ID,
]);

/** Returns an error of the client as one that says what it means. */
export function kafkaError(error: unknown): KafkaError {
  const { message, code } = error as { message?: string; code?: number };
  const [text, number] = [message ?? String(error), code ?? 0];
  if (TOPIC_UNUSABLE.has(number)) return new TopicUnusableError(text, number);
  if (TOO_LARGE.has(number)) return new RecordTooLargeError(text, number);
  return new KafkaError(text, number);
}

/** Tells whether waiting does not help. */
export function isFatal(error: unknown): boolean {
  const { code, isFatal: fatal } = error as { code?: number; isFatal?: boolean };
  return fatal === true || FATAL.has(code ?? 0);
}

/** Tells whether a broker's connection has ended, so that nothing is heard from it for a while. */
export function isDisconnection(error: unknown): boolean {
  return DISCONNECTED.has((error as { code?: number }).code ?? 0);
}
