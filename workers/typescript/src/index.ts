/** A worker for kafka-bridge: it runs jobs of Apache Airflow tasks. */

export {
  ConfigurationError,
  JobError,
  type JobErrorOptions,
  JobStopped,
  type StopReason,
} from "./errors.js";
export type { Handler, HandlerContext } from "./handlers.js";
export type { Job, ProgressOptions } from "./job.js";
export { jsonLogger, type Level, type Logger } from "./logger.js";
export { InvalidPayloadError, type PayloadSchema, Result } from "./payloads.js";
export type { JobRequest, Reference, Task } from "./protocol/messages.js";
export type { WorkerSettings } from "./settings.js";
export { Worker } from "./worker.js";
