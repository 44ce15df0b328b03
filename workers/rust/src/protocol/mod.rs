//! The messages of the job protocol, version 1, and their two encodings.
//!
//! `docs/protocol.md` is the authority. The schemas are frozen, so their fields are written out here instead of
//! being interpreted: a length that is only claimed allocates nothing, and text that is not UTF-8 hides no error
//! (decision 0055).

mod avro;
mod codec;
mod headers;
mod json_check;
mod json_read;
mod json_write;
mod media_type;
mod messages;
mod text;
mod validate;

#[cfg(test)]
mod golden_tests;

pub(crate) use codec::{Encoding, Unreadable, decode_command, decode_event, decode_request, encode_event};
pub use headers::Header;
pub(crate) use headers::{Origin, REPLY_TOPIC, dead_letter_headers, event_headers, last_header};
pub(crate) use media_type::{MEDIA_TYPE_BINARY, MEDIA_TYPE_JSON, is_json};
pub use messages::Task;
pub(crate) use messages::{
    CHECKPOINT, Command, JobFailure, JobRequest, MAX_CHECKPOINT_BYTES, Progress, State, StatusEvent, error_type,
};
pub(crate) use text::{
    MAX_DETAILS_BYTES, MAX_ERROR_MESSAGE_BYTES, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, MAX_UNIT_BYTES, block, one_line,
};
pub(crate) use validate::is_correlation_id;
