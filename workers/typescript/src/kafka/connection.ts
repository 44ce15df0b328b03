/** How the clients reach Kafka: properties of librdkafka. */

import { ConfigurationError } from "../errors.js";

/** Properties of librdkafka by name, such as `bootstrap.servers`. */
export type KafkaProperties = Readonly<Record<string, string | number | boolean>>;

const BOOTSTRAP = "KAFKA_BRIDGE_BOOTSTRAP_SERVERS";
const PREFIX = "KAFKA_BRIDGE_KAFKA_";
const SESSION_TIMEOUT_MS = 30_000;
const DELIVERY_TIMEOUT_MS = 30_000;
const UNKNOWN_TOPIC_MS = 10_000;

/** Properties that only a consumer has, or only a producer: the other client would warn of them. */
const CONSUMER_ONLY =
  /^(session\.timeout|heartbeat\.interval|max\.poll|group\.|partition\.assignment|fetch\.|queued\.|auto\.offset|isolation\.level|check\.crcs)/;
const PRODUCER_ONLY =
  /^(linger|batch\.|queue\.buffering|compression\.|acks$|request\.required|message\.timeout|delivery\.timeout|transactional|sticky\.partitioning|enable\.idempotence|partitioner$|enable\.gapless)/;

/**
 * Returns the properties of the environment: `KAFKA_BRIDGE_BOOTSTRAP_SERVERS`, and
 * `KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL` for `security.protocol`, for example.
 *
 * @throws ConfigurationError no brokers are named
 */
export function kafkaProperties(environ: NodeJS.ProcessEnv): KafkaProperties {
  const properties: Record<string, string> = {};
  for (const [name, value] of Object.entries(environ)) {
    if (!name.startsWith(PREFIX) || !value) continue;
    properties[name.slice(PREFIX.length).toLowerCase().replaceAll("_", ".")] = value;
  }
  const servers = environ[BOOTSTRAP];
  if (servers) properties["bootstrap.servers"] = servers;
  if (!properties["bootstrap.servers"]) {
    throw new ConfigurationError(`${BOOTSTRAP} is not set: set it to the addresses of Kafka`);
  }
  return properties;
}

/** After how many milliseconds without a heartbeat the group gives a worker's jobs to others. */
export function sessionTimeout(properties: KafkaProperties): number {
  return Number(properties["session.timeout.ms"] ?? SESSION_TIMEOUT_MS);
}

function without(properties: KafkaProperties, pattern: RegExp): KafkaProperties {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !pattern.test(name)));
}

/** The properties of the consumer that is a member of the service's group. */
export function groupProperties(properties: KafkaProperties, group: string): KafkaProperties {
  const session = sessionTimeout(properties);
  return {
    "session.timeout.ms": session,
    "heartbeat.interval.ms": Math.floor(Math.min(3_000, session / 6)),
    "fetch.queue.backoff.ms": 10,
    ...without(properties, PRODUCER_ONLY),
    "group.id": group,
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": false,
    "enable.auto.offset.store": false,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": false,
  };
}

/** The properties of a consumer that reads a topic without a group, and is told of its end. */
export function readerProperties(properties: KafkaProperties, name: string): KafkaProperties {
  return {
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
    ...without(without(properties, PRODUCER_ONLY), /^group\./),
    "group.id": name,
    "enable.auto.commit": false,
    "enable.auto.offset.store": false,
    "enable.partition.eof": true,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": false,
  };
}

/**
 * The properties of the producer. It is idempotent, and partitions as Java's clients do.
 *
 * It gives up after a session: what was sent before a worker was frozen must not arrive after it.
 */
export function producerProperties(properties: KafkaProperties): KafkaProperties {
  const timeout = Math.min(DELIVERY_TIMEOUT_MS, sessionTimeout(properties));
  return {
    "linger.ms": 1,
    ...without(properties, CONSUMER_ONLY),
    acks: "all",
    "enable.idempotence": true,
    partitioner: "murmur2_random",
    "message.timeout.ms": timeout,
    "topic.metadata.propagation.max.ms": Math.min(UNKNOWN_TOPIC_MS, Math.floor(timeout / 2)),
    "allow.auto.create.topics": false,
    dr_cb: true,
  };
}
