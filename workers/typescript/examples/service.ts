/**
 * A service to copy: it audits the files of a folder.
 *
 *     npm run build
 *     KAFKA_BRIDGE_BOOTSTRAP_SERVERS=127.0.0.1:9092 KAFKA_BRIDGE_GROUP_ID=audits node dist/examples/service.js
 */

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { JobError, Worker } from "../src/index.js";

interface Audit {
  readonly path: string;
}

/** Any object with `parse` will do: `z.object({ path: z.string() })` of zod is one. */
const Audit = {
  parse(value: unknown): Audit {
    const { path } = (value ?? {}) as Partial<Audit>;
    if (typeof path !== "string") throw new TypeError("path must be text");
    return { path };
  },
};

const worker = new Worker({ concurrency: 4 });

worker.job("files.audit", Audit, async (job, { signal }) => {
  const names = await readdir(job.payload.path).catch((cause: unknown) => {
    throw new JobError(`cannot read ${job.payload.path}`, {
      type: "no_folder",
      retryable: false,
      cause,
    });
  });
  let bytes = 0;
  for (const [done, name] of names.entries()) {
    signal.throwIfAborted(); // Airflow has cancelled the job, or its deadline has passed
    bytes += (await stat(join(job.payload.path, name))).size;
    job.progress(done + 1, { total: names.length, unit: "files", message: name });
  }
  return { files: names.length, bytes };
});

await worker.run();
process.exit(); // a handler that ignores its signal must not keep the process alive
