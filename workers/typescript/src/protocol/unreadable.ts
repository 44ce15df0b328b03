/** The bytes of a record are not a message, or not a valid one. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}
