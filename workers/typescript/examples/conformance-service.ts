/**
 * The job types that `kafka-bridge conformance` asks for:
 *
 *     kafka-bridge conformance --command "node dist/examples/conformance-service.js"
 *
 * docs/how-to/check-a-worker.md says what each one does.
 */

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import {
  type Handler,
  type Job,
  JobError,
  type PayloadSchema,
  Result,
  Worker,
} from "../src/index.js";

const NOTES = process.env["KAFKA_BRIDGE_CONFORMANCE_NOTES"] ?? "/dev/null";

/** Notes that a handler is called, and that it returns. */
function noted<Payload>(handler: Handler<Payload>): Handler<Payload> {
  return async (job, context) => {
    appendFileSync(NOTES, `started ${job.correlationId}\n`);
    try {
      return await handler(job, context);
    } finally {
      appendFileSync(NOTES, `ended ${job.correlationId}\n`);
    }
  };
}

/** A schema that requires fields with types of JavaScript. */
function fields<Payload>(types: Record<keyof Payload & string, string>): PayloadSchema<Payload> {
  return {
    parse(value: unknown): Payload {
      const object = (value ?? {}) as Record<string, unknown>;
      for (const [name, type] of Object.entries(types)) {
        if (typeof object[name] !== type) throw new TypeError(`${name} must be a ${String(type)}`);
      }
      return object as Payload;
    },
  };
}

interface Sleep {
  readonly seconds: number;
  readonly stubborn?: boolean;
}

interface Steps {
  readonly steps: number;
  readonly seconds: number;
}

interface Failure {
  readonly type: string;
  readonly message: string;
  readonly retryable: boolean;
}

function echo({ request }: Job): unknown {
  const { payload, payload_type: type } = request;
  if (payload === null || type === null) return { type: null };
  const isJson = /^\s*(application\/json|[^;]*\+json)\s*(;|$)/i.test(type);
  if (!isJson) return { type, base64: payload.toString("base64") };
  // The payload's own digits: 1.0 would come back as 1.
  const text = `{"type":${JSON.stringify(type)},"json":${payload.toString()}}`;
  return new Result(Buffer.from(text), "application/json");
}

const worker = new Worker();

worker.job("test.echo", noted(echo));

worker.job(
  "test.bytes",
  noted(() => Uint8Array.from({ length: 256 }, (_, byte) => byte)),
);

worker.job(
  "test.sleep",
  fields<Sleep>({ seconds: "number" } as Record<keyof Sleep, string>),
  noted(async ({ payload: { seconds, stubborn } }, { signal }) => {
    await sleep(1000 * seconds, undefined, stubborn ? {} : { signal });
    return { slept: seconds };
  }),
);

worker.job(
  "test.progress",
  fields<Steps>({ steps: "number", seconds: "number" }),
  noted(async (job) => {
    const { steps, seconds } = job.payload;
    for (let step = 1; step <= steps; step++) {
      await sleep(1000 * seconds);
      job.progress(step, { total: steps, unit: "steps" });
    }
    return { steps };
  }),
);

worker.job(
  "test.fail",
  fields<Failure>({ type: "string", message: "string", retryable: "boolean" }),
  noted(({ payload: { type, message, retryable } }) => {
    throw new JobError(message, { type, retryable });
  }),
);

worker.job(
  "test.crash",
  noted(({ delivery }) => {
    if (delivery === 1) process.kill(process.pid, "SIGKILL");
    return { delivery };
  }),
);

await worker.run();
process.exit();
