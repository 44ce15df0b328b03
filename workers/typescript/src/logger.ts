/** Structured logs: any logger with pino's methods will do. */

/** Writes a line with fields. A logger of pino is one. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const;

/** The level of a line. */
export type Level = keyof typeof LEVELS;

/**
 * Returns a logger that writes a JSON document for each line, with pino's fields.
 *
 * @param least lines of lower levels are dropped
 * @param write writes a line, by default to standard output
 */
export function jsonLogger(
  least: Level = "info",
  write: (line: string) => void = (line) => process.stdout.write(line),
): Logger {
  const at =
    (level: Level) =>
    (fields: object, msg: string): void => {
      if (LEVELS[level] < LEVELS[least]) return;
      const document = { level: LEVELS[level], time: Date.now(), ...fields, msg };
      write(`${JSON.stringify(document, asPlain)}\n`);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function asPlain(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (!(value instanceof Error)) return value;
  return { type: value.name, message: value.message, stack: value.stack };
}
