//! A message from bytes, and to bytes, in either encoding.

use super::avro;
use super::json_read;
use super::json_write;
use super::media_type::MEDIA_TYPE_JSON;
use super::messages::{JobCommand, JobRequest, StatusEvent};
use super::validate;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Avro,
    Json,
}

impl Encoding {
    /// The value of the header `content-type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Encoding::Avro => "application/vnd.apache.avro",
            Encoding::Json => MEDIA_TYPE_JSON,
        }
    }

    /// The encoding of a value, by its first bytes.
    pub(crate) fn of(value: &[u8]) -> Result<Self, Unreadable> {
        let is_space = |b: &&u8| b" \t\r\n".contains(b);
        match value {
            [] => Err(Unreadable::new("the value has no bytes")),
            [0xC3, 0x01, ..] => Ok(Encoding::Avro),
            [0, ..] => Err(Unreadable::new(
                "the value is written with a schema registry, which is not supported: write Avro or JSON",
            )),
            _ if value.iter().find(|b| !is_space(b)) == Some(&b'{') => Ok(Encoding::Json),
            _ => Err(Unreadable::new("the value is neither Avro (C3 01) nor a JSON object")),
        }
    }
}

/// Bytes that are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unreadable message: {0}")]
pub(crate) struct Unreadable(String);

impl Unreadable {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Unreadable(why.into())
    }
}

/// Reads a job request in either encoding.
pub(crate) fn decode_request(value: &[u8]) -> Result<(JobRequest, Encoding), Unreadable> {
    let encoding = Encoding::of(value)?;
    let mut request = match encoding {
        Encoding::Avro => avro::read_request(value)?,
        Encoding::Json => json_read::read_request(value)?,
    };
    validate::request(&mut request)?;
    Ok((request, encoding))
}

/// Reads a status event in either encoding.
///
/// An invalid field beside an error does not hide the error.
pub(crate) fn decode_event(value: &[u8]) -> Result<StatusEvent, Unreadable> {
    let mut event = match Encoding::of(value)? {
        Encoding::Avro => avro::read_event(value)?,
        Encoding::Json => json_read::read_event(value)?,
    };
    validate::event(&mut event)?;
    Ok(event)
}

/// Reads a job command in either encoding.
pub(crate) fn decode_command(value: &[u8]) -> Result<JobCommand, Unreadable> {
    let command = match Encoding::of(value)? {
        Encoding::Avro => avro::read_command(value)?,
        Encoding::Json => json_read::read_command(value)?,
    };
    validate::command(&command)?;
    Ok(command)
}

/// Writes a status event.
///
/// Fails if its result is declared as JSON and is not, and only in JSON.
pub(crate) fn encode_event(event: &StatusEvent, encoding: Encoding) -> Result<Vec<u8>, Unreadable> {
    match encoding {
        Encoding::Avro => Ok(avro::write_event(event)),
        Encoding::Json => json_write::event(event),
    }
}
