/** Decides what a worker does with a request. All that a decision depends on is passed in. */

import { failure } from "../errors.js";
import { ErrorType, type JobFailure, type JobRequest } from "../protocol/messages.js";
import type { Ending } from "./ending.js";
import type { Unfinished } from "./snapshot.js";

/** A job was started again and again, and no worker lived to publish its end. */
export class TooManyDeliveriesError extends Error {
  override readonly name = "TooManyDeliveriesError";
}

/** How a job ends without a start. */
export interface Rejection {
  readonly ending: Ending;
  /** Why the request goes to the dead-letter topic as well. */
  readonly poison?: Error;
}

/** What a decision depends on. */
export interface Circumstances {
  readonly before: Unfinished;
  /** The reason of a CANCEL; undefined without one. */
  readonly cancelled: string | undefined;
  readonly isTypeKnown: boolean;
  readonly maxDeliveries: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** How many deliveries ended without an event. */
export function interrupted({ delivery, released }: Unfinished): number {
  return Math.max(0, delivery - released);
}

/** Returns how a job that has not started has to end; undefined if it may start. */
export function rejection(
  request: JobRequest,
  { before, cancelled, isTypeKnown, maxDeliveries, now }: Circumstances,
): Rejection | undefined {
  if (cancelled !== undefined) {
    return { ending: { state: "CANCELLED", facts: { message: cancelled } } };
  }
  const times = interrupted(before);
  if (times >= maxDeliveries) {
    const poison = new TooManyDeliveriesError(
      `the job was started ${times} times, and each time its worker died or stopped responding: ` +
        "the job may be the cause. See the dead-letter topic",
    );
    return failed(failure(ErrorType.tooManyDeliveries, poison.message, false), poison);
  }
  const unfit = lateness(request, now) ?? unfitness(request, isTypeKnown);
  return unfit === undefined ? undefined : failed(unfit);
}

function failed(error: JobFailure, poison?: Error): Rejection {
  const ending: Ending = { state: "FAILED", facts: { error } };
  return poison === undefined ? { ending } : { ending, poison };
}

function lateness({ expires_at, deadline }: JobRequest, now: number): JobFailure | undefined {
  if (expires_at !== null && now > expires_at) {
    return failure(ErrorType.expired, `${since("expiry", expires_at)} before a start`, true);
  }
  if (deadline !== null && now > deadline) {
    return failure(
      ErrorType.deadlineExceeded,
      `${since("deadline", deadline)} before a start`,
      true,
    );
  }
  return undefined;
}

function since(what: string, time: number): string {
  return `the job's ${what}, ${new Date(time).toISOString()}, has passed`;
}

function unfitness(request: JobRequest, isTypeKnown: boolean): JobFailure | undefined {
  if (!isTypeKnown) {
    const message =
      `this worker has no handler for job type ${request.job_type}: is the request on the right ` +
      "topic, and is the worker up to date?";
    return failure(ErrorType.unknownJobType, message, false);
  }
  if (request.payload_ref !== null) {
    const message =
      `the payload is a reference, ${request.payload_ref.uri}, and this worker does not fetch ` +
      "references: send the address in the payload itself, and let the handler read it";
    return failure(ErrorType.unsupportedReference, message, false);
  }
  return undefined;
}
