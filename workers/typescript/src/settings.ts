/** The settings of a worker: from the program, or else from the environment. */

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";

import { ConfigurationError } from "./errors.js";
import { kafkaProperties, type KafkaProperties } from "./kafka/connection.js";
import { jsonLogger, type Logger } from "./logger.js";

/** The settings of a worker. The variables are in brackets. */
export interface WorkerSettings {
  /** The service's consumer group (`KAFKA_BRIDGE_GROUP_ID`). */
  readonly groupId: string;
  /** The topic of requests (`KAFKA_BRIDGE_REQUEST_TOPIC`), by default `jobs.requests`. */
  readonly requestTopic: string;
  /** The topic of commands (`KAFKA_BRIDGE_CONTROL_TOPIC`), by default `jobs.control`. */
  readonly controlTopic: string;
  /** The topic of dead letters (`KAFKA_BRIDGE_DEAD_LETTER_TOPIC`), by default `jobs.dead-letters`. */
  readonly deadLetterTopic: string;
  /** How many jobs run at the same time (`KAFKA_BRIDGE_CONCURRENCY`), by default 1. */
  readonly concurrency: number;
  /** How long running jobs may continue after SIGTERM (`KAFKA_BRIDGE_GRACE_SECONDS`), by default 30 s. */
  readonly graceSeconds: number;
  /** After how many interrupted deliveries a job fails (`KAFKA_BRIDGE_MAX_DELIVERIES`), by default 5. */
  readonly maxDeliveries: number;
  /** The name of this worker (`KAFKA_BRIDGE_WORKER_ID`), by default host, process and a random part. */
  readonly workerId: string;
  /** Properties of librdkafka (`KAFKA_BRIDGE_BOOTSTRAP_SERVERS`, `KAFKA_BRIDGE_KAFKA_…`). */
  readonly kafka: KafkaProperties;
  /** By default one that writes JSON to standard output (`KAFKA_BRIDGE_LOG_LEVEL`: info). */
  readonly logger: Logger;
}

/**
 * Returns the settings of a worker.
 *
 * @param given what the program sets; the environment has the rest
 * @throws ConfigurationError a setting is missing or not possible
 */
export function workerSettings(
  given: Partial<WorkerSettings>,
  environ: NodeJS.ProcessEnv,
): WorkerSettings {
  const text = (name: string, fallback: string): string => environ[variable(name)] || fallback;
  const number = (name: string, fallback: number): number => {
    const value = environ[variable(name)];
    return value ? Number(value) : fallback;
  };
  const settings: WorkerSettings = {
    groupId: text("GROUP_ID", ""),
    requestTopic: text("REQUEST_TOPIC", "jobs.requests"),
    controlTopic: text("CONTROL_TOPIC", "jobs.control"),
    deadLetterTopic: text("DEAD_LETTER_TOPIC", "jobs.dead-letters"),
    concurrency: number("CONCURRENCY", 1),
    graceSeconds: number("GRACE_SECONDS", 30),
    maxDeliveries: number("MAX_DELIVERIES", 5),
    workerId: text("WORKER_ID", `${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`),
    kafka: given.kafka ?? kafkaProperties(environ),
    logger: given.logger ?? jsonLogger(level(text("LOG_LEVEL", "info"))),
    ...given,
  };
  if (!settings.groupId) {
    throw new ConfigurationError(
      `a worker needs the name of its consumer group: set groupId, or ${variable("GROUP_ID")}`,
    );
  }
  for (const name of ["concurrency", "maxDeliveries"] as const) {
    if (!Number.isInteger(settings[name]) || settings[name] < 1) {
      throw new ConfigurationError(`${name} must be a whole number from 1, not ${settings[name]}`);
    }
  }
  if (!(settings.graceSeconds >= 0 && Number.isFinite(settings.graceSeconds))) {
    throw new ConfigurationError(`graceSeconds must be 0 or more, not ${settings.graceSeconds}`);
  }
  return settings;
}

function variable(name: string): string {
  return `KAFKA_BRIDGE_${name}`;
}

function level(text: string): "debug" | "info" | "warn" | "error" {
  const name = text.toLowerCase();
  if (name === "debug" || name === "info" || name === "error") return name;
  if (name === "warn" || name === "warning") return "warn";
  throw new ConfigurationError(
    `${variable("LOG_LEVEL")} must be debug, info, warn or error, not ${text}`,
  );
}
