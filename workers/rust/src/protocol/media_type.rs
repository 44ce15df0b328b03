//! Media types of payloads and results.

pub(crate) const MEDIA_TYPE_JSON: &str = "application/json";
pub(crate) const MEDIA_TYPE_BINARY: &str = "application/octet-stream";

/// Whether a media type is JSON: `application/json` or one that ends in `+json`, whatever its case and its
/// parameters.
pub(crate) fn is_json(media_type: &str) -> bool {
    let name = media_type.split(';').next().unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    name == MEDIA_TYPE_JSON || name.ends_with("+json")
}
