/** Media types of payloads and results. */

export const JSON_TYPE = "application/json";
export const BYTES_TYPE = "application/octet-stream";

/** Tells whether data of a media type are JSON: `application/json`, or a type that ends in `+json`. */
export function isJson(mediaType: string): boolean {
  const essence = (mediaType.split(";", 1)[0] ?? "").trim().toLowerCase();
  return essence === JSON_TYPE || essence.endsWith("+json");
}
