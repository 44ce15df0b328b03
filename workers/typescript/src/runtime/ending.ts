/** How a job ends: from what its handler has returned or thrown, and whether it was asked to stop. */

import { failure, failureOf, isStop, type JobStopped } from "../errors.js";
import { InvalidPayloadError, resultFields } from "../payloads.js";
import { ErrorType, type JobState } from "../protocol/messages.js";
import type { Facts } from "./reporter.js";

/** The terminal event of a job. */
export interface Ending {
  readonly state: JobState;
  readonly facts: Facts;
}

/** Returns the end of a job whose handler has returned. */
export function returned(value: unknown, stop: JobStopped | undefined): Ending {
  try {
    return { state: "SUCCEEDED", facts: { ...resultFields(value), ...attributes(stop) } };
  } catch (error) {
    return thrown(error, stop);
  }
}

/** Returns the end of a job whose handler has thrown an error. */
export function thrown(error: unknown, stop: JobStopped | undefined): Ending {
  if (stop !== undefined && isStop(error)) return stopped(stop);
  const reason = error instanceof InvalidPayloadError ? error.failure : failureOf(error);
  return { state: "FAILED", facts: { error: reason, ...attributes(stop) } };
}

/** Returns the end of a job that has stopped because it was asked to. */
export function stopped({ why, message }: JobStopped): Ending {
  return why === "deadline"
    ? { state: "FAILED", facts: { error: failure(ErrorType.deadlineExceeded, message, true) } }
    : { state: "CANCELLED", facts: { message } };
}

/** The attribute of a job that ended in its own way although it was asked to stop. */
function attributes(stop: JobStopped | undefined): Facts {
  return stop === undefined ? {} : { attributes: { stop_requested: stop.why } };
}
