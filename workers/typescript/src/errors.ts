/** The errors of this package's interface. */

import type { JobFailure } from "./protocol/messages.js";
import { block, DETAILS_LENGTH, ERROR_LENGTH, line, NAME_LENGTH } from "./protocol/texts.js";

/** A setting is missing or not possible. The message says what to do. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}

/** What a {@link JobError} says besides its message. */
export interface JobErrorOptions extends ErrorOptions {
  /** A short, stable name of the error, by default `JobError`. */
  readonly type?: string;
  /** Whether a retry may help, by default true. If not, Airflow does not retry the task. */
  readonly retryable?: boolean;
  /** Text that helps to find the cause, by default the stack; null for none. */
  readonly details?: string | null;
}

/** Throw it in a handler to choose the error that the Airflow task receives. */
export class JobError extends Error {
  override readonly name = "JobError";
  readonly type: string;
  readonly retryable: boolean;
  readonly details: string | null | undefined;

  constructor(message: string, { type, retryable, details, ...options }: JobErrorOptions = {}) {
    super(message, options);
    this.type = type ?? "JobError";
    this.retryable = retryable ?? true;
    this.details = details;
  }
}

/** Why a job should stop. */
export type StopReason =
  /** Airflow or a person has cancelled it. */
  | "cancelled"
  /** Its deadline has passed. */
  | "deadline"
  /** The worker shuts down, or the group takes the job: another worker does it from the start. */
  | "released"
  /** Another worker has the job: nothing that this one publishes of it counts. */
  | "lost";

/** The `reason` of a handler's signal: why the job should stop. Throw it, or let it pass. */
export class JobStopped extends Error {
  override readonly name = "JobStopped";

  constructor(
    readonly why: StopReason,
    message: string,
  ) {
    super(message);
  }
}

/** Tells whether an error only reports that the job was stopped, and did stop. */
export function isStop(error: unknown): boolean {
  return error instanceof JobStopped || (error instanceof Error && error.name === "AbortError");
}

/** Returns the error of a FAILED event for what a handler has thrown. It is retryable by default. */
export function failureOf(thrown: unknown): JobFailure {
  if (thrown instanceof JobError) {
    const details = thrown.details === undefined ? thrown.stack : thrown.details;
    return failure(thrown.type, thrown.message, thrown.retryable, details);
  }
  if (thrown instanceof Error) return failure(thrown.name, thrown.message, true, thrown.stack);
  return failure("Error", String(thrown), true);
}

/** Returns the error of a FAILED event. Its texts are cut to what fits into a record. */
export function failure(
  type: string,
  message: string,
  retryable: boolean,
  details?: string | null,
): JobFailure {
  return {
    type: line(type, NAME_LENGTH) || "Error",
    message: block(message, ERROR_LENGTH),
    retryable,
    details: details === null || details === undefined ? null : block(details, DETAILS_LENGTH),
  };
}
