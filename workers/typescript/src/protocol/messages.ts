/**
 * The messages of the protocol. Names and order of fields are those of `schemas/*.avsc`.
 *
 * Times are milliseconds since 1970. 64-bit integers that are not times are `bigint`.
 */

export const STATES = [
  "UNKNOWN",
  "ACCEPTED",
  "RUNNING",
  "RELEASED",
  "SUCCEEDED",
  "FAILED",
  "CANCELLED",
] as const;

/** The state of a job in an event. UNKNOWN is never written. */
export type JobState = (typeof STATES)[number];

/** The states after which a job has no other. */
export const TERMINAL: ReadonlySet<JobState> = new Set(["SUCCEEDED", "FAILED", "CANCELLED"]);

/** Bytes that are stored elsewhere. */
export interface Reference {
  readonly uri: string;
  readonly sha256: string;
  readonly size: bigint;
}

/** The Airflow task that submitted a job. `map_index` is -1 if it is not mapped. */
export interface Task {
  readonly source: string;
  readonly dag_id: string;
  readonly run_id: string;
  readonly task_id: string;
  readonly map_index: number;
  readonly try_number: number;
  readonly url: string | null;
}

/** One job, as Airflow publishes it. */
export interface JobRequest {
  readonly correlation_id: string;
  readonly attempt: number;
  readonly job_type: string;
  readonly payload: Buffer | null;
  readonly payload_type: string | null;
  readonly payload_ref: Reference | null;
  readonly response_topic: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly deadline: number | null;
  readonly heartbeat_interval_ms: number;
  readonly task: Task | null;
  readonly attributes: Readonly<Record<string, string>>;
}

/** How much of a job is done. */
export interface Progress {
  readonly completed: number;
  readonly total: number | null;
  readonly unit: string | null;
}

/** The error of a job that failed. */
export interface JobFailure {
  readonly type: string;
  readonly message: string;
  readonly details: string | null;
  readonly retryable: boolean;
}

/** One thing that a worker says of a job. */
export interface StatusEvent {
  readonly correlation_id: string;
  readonly event_id: string;
  readonly delivery: number;
  readonly sequence: bigint;
  readonly state: JobState;
  readonly occurred_at: number;
  readonly worker_id: string;
  readonly message: string | null;
  readonly progress: Progress | null;
  readonly external_id: string | null;
  readonly result: Buffer | null;
  readonly result_type: string | null;
  readonly result_ref: Reference | null;
  readonly error: JobFailure | null;
  readonly attributes: Readonly<Record<string, string>>;
}

/** What Airflow or a person tells the worker that has a job. */
export interface JobCommand {
  readonly correlation_id: string;
  readonly command: "UNKNOWN" | "CANCEL";
  readonly reason: string | null;
  readonly issued_at: number;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The types of messages by name. */
export interface Messages {
  JobRequest: JobRequest;
  StatusEvent: StatusEvent;
  JobCommand: JobCommand;
}

/** Reserved types of errors that a worker publishes. */
export const ErrorType = {
  expired: "expired",
  deadlineExceeded: "deadline_exceeded",
  unknownJobType: "unknown_job_type",
  unreadable: "unreadable",
  invalidPayload: "invalid_payload",
  unsupportedReference: "unsupported_reference",
  tooManyDeliveries: "too_many_deliveries",
} as const;
