/** Texts as they may be in events: of limited length, without control characters. */

/** The longest texts, in UTF-16 units: a multiple fits into Kafka's default of 1 MB for a record. */
export const NAME_LENGTH = 250;
export const LINE_LENGTH = 2_000;
export const ERROR_LENGTH = 4_000;
export const DETAILS_LENGTH = 32_000;

const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
const BREAK = /[\r\n\t\u2028\u2029]+/g;

/** Returns a text as one line. */
export function line(text: string, limit: number = LINE_LENGTH): string {
  return cut(text.replace(BREAK, " ").replace(CONTROL, ""), limit);
}

/** Returns a text of several lines. */
export function block(text: string, limit: number): string {
  return cut(text.replaceAll("\r\n", "\n").replace(CONTROL, ""), limit);
}

function cut(text: string, limit: number): string {
  const whole = text.toWellFormed();
  if (whole.length <= limit) return whole;
  const note = ` … (cut, ${whole.length} characters in all)`;
  return whole.slice(0, limit - note.length).toWellFormed() + note;
}
