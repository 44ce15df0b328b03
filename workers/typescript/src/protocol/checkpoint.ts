/** The checkpoint of a job in its events: an attribute with JSON text. */

import type { StatusEvent } from "./messages.js";

export const CHECKPOINT_BYTES = 4_000;

/** Returns the text of an event's checkpoint; null if it has none, or one too long. */
export function checkpointIn({ attributes }: Pick<StatusEvent, "attributes">): string | null {
  const text = attributes["checkpoint"];
  return text === undefined || Buffer.byteLength(text) > CHECKPOINT_BYTES ? null : text;
}

/** Returns the attributes of an event with this checkpoint. */
export function withCheckpoint(text: string | null): Record<string, string> {
  return text === null ? {} : { checkpoint: text };
}
