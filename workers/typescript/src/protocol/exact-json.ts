/**
 * JSON whose numbers keep their digits.
 *
 * `JSON.parse` makes doubles of all numbers, and 2^53 + 1 is none. So the text is first parsed as it
 * is, which checks its grammar. Then each number becomes a text with the mark `n`, each text gets the
 * mark `s`, and the result is parsed again. With the mark no key is `__proto__` or looks like an
 * index, so that all keys stay, and in their order.
 */

/** A parsed value, still marked. Of a key that occurs twice, the last one counts. */
export type Marked = string | boolean | null | Marked[] | { [key: string]: Marked };

const TOKEN = /"((?:[^"\\]|\\.)*)"|-?\d[-+.\deE]*/g;
const MARKED = /"([sn])((?:[^"\\]|\\.)*)"/g;
const INTEGER = /^-?\d+$/;
const LONG_NUMBER = /\d{16}/;

/** A number as it is written. */
export class NumberText {
  constructor(readonly text: string) {}
}

/**
 * Parses a text.
 *
 * @throws SyntaxError it is not JSON
 */
export function parseMarked(text: string): Marked {
  JSON.parse(text);
  const marked = text.replace(TOKEN, (token, content: string | undefined) =>
    content === undefined ? `"n${token}"` : `"s${content}"`,
  );
  return JSON.parse(marked) as Marked;
}

/** Writes a marked value as JSON, with the digits and the order of its source. */
export function writeMarked(value: Marked): string {
  return JSON.stringify(value).replace(MARKED, (_, mark: string, content: string) =>
    mark === "n" ? content : `"${content}"`,
  );
}

/** Returns what a marked value is: a text, a number, a boolean, null, an array or an object. */
export function scalar(
  value: Marked | undefined,
): string | NumberText | boolean | null | undefined | Marked[] | Record<string, Marked> {
  if (typeof value !== "string") return value;
  return value.startsWith("n") ? new NumberText(value.slice(1)) : value.slice(1);
}

/** Returns the member of a marked object; undefined if there is none. */
export function member(object: Record<string, Marked>, name: string): Marked | undefined {
  return object[`s${name}`];
}

/** Returns the members of a marked object. */
export function members(object: Record<string, Marked>): [string, Marked][] {
  return Object.entries(object).map(([key, value]) => [key.slice(1), value]);
}

/** Tells whether all texts and keys of a marked value are Unicode: no half of a surrogate pair. */
export function isUnicode(value: Marked): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (value === null || typeof value === "boolean") return true;
  if (Array.isArray(value)) return value.every(isUnicode);
  return Object.entries(value).every(([key, each]) => key.isWellFormed() && isUnicode(each));
}

/**
 * Parses JSON. Integers that no double has become a `bigint`.
 *
 * @throws SyntaxError it is not JSON
 */
export function parseJson(text: string): unknown {
  return LONG_NUMBER.test(text) ? unmarked(parseMarked(text)) : JSON.parse(text);
}

function unmarked(value: Marked): unknown {
  const plain = scalar(value);
  if (plain instanceof NumberText) return numberOf(plain.text);
  if (Array.isArray(plain)) return plain.map(unmarked);
  if (plain === null || typeof plain !== "object") return plain;
  return Object.fromEntries(members(plain).map(([key, each]) => [key, unmarked(each)]));
}

function numberOf(text: string): number | bigint {
  const number = Number(text);
  return INTEGER.test(text) && !Number.isSafeInteger(number) ? BigInt(text) : number;
}

const MARK = `\u0001${Math.random().toString(36).slice(2)}:`;
const MARKED_INTEGER = new RegExp(`"\\\\u0001${MARK.slice(1)}(-?\\d+)"`, "g");

/**
 * Writes a value as JSON; a `bigint` becomes an integer. Undefined if JSON has no such value.
 *
 * @throws TypeError it has a number that is not finite, half of a surrogate pair, or a cycle
 */
export function writeJson(value: unknown): string | undefined {
  const text = JSON.stringify(value, (key, each: unknown) => {
    if (!key.isWellFormed() || (typeof each === "string" && !each.isWellFormed())) {
      throw new TypeError("a text has half of a surrogate pair, which JSON cannot carry");
    }
    if (typeof each === "number" && !Number.isFinite(each)) {
      throw new TypeError(`${each} is not a number of JSON`);
    }
    return typeof each === "bigint" ? `${MARK}${each}` : each;
  }) as string | undefined;
  return text?.replace(MARKED_INTEGER, "$1");
}
