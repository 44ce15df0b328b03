//! Headers of Kafka records.

use super::codec::Encoding;
use super::text::{MAX_MESSAGE_BYTES, one_line};

const CONTENT_TYPE: &str = "content-type";
const CORRELATION_ID: &str = "kafka_correlationId";
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const DEAD_LETTER_PREFIX: &str = "kafka_dlt-";

/// The response topic, for requests that cannot be read.
pub(crate) const REPLY_TOPIC: &str = "kafka_replyTopic";

const MAX_TRACEPARENT_BYTES: usize = 256;
const MAX_TRACESTATE_BYTES: usize = 2_048;

/// A header of a Kafka record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name. Of a name that is not UTF-8, the invalid parts are replaced.
    pub key: String,
    /// Its value, if it has one.
    pub value: Option<Vec<u8>>,
}

impl Header {
    fn new(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Header { key: key.into(), value: Some(value.into()) }
    }
}

/// The value of the last header with this name.
pub(crate) fn last_header<'a>(headers: &'a [Header], name: &str) -> Option<&'a [u8]> {
    let found = headers.iter().rev().find(|each| each.key == name)?;
    found.value.as_deref()
}

/// The headers of all status events of a job.
///
/// The trace of the request is passed on: `traceparent`, and `tracestate` only together with it.
pub(crate) fn event_headers(correlation_id: &str, encoding: Encoding, request: &[Header]) -> Vec<Header> {
    let mut headers =
        vec![Header::new(CONTENT_TYPE, encoding.content_type()), Header::new(CORRELATION_ID, correlation_id)];
    let within = |name, limit| last_header(request, name).filter(|value| !value.is_empty() && value.len() <= limit);
    if let Some(parent) = within(TRACEPARENT, MAX_TRACEPARENT_BYTES) {
        headers.push(Header::new(TRACEPARENT, parent));
        if let Some(state) = within(TRACESTATE, MAX_TRACESTATE_BYTES) {
            headers.push(Header::new(TRACESTATE, state));
        }
    }
    headers
}

/// Where a record was read.
#[derive(Clone, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) timestamp_ms: i64,
}

/// The headers of a dead letter: those of the original record, and why it is one.
///
/// `class` is the error's class, for programs; `text` is for people.
pub(crate) fn dead_letter_headers(original: &[Header], at: &Origin<'_>, class: &str, text: &str) -> Vec<Header> {
    let is_own = |each: &&Header| !each.key.starts_with(DEAD_LETTER_PREFIX);
    let mut headers: Vec<Header> = original.iter().filter(is_own).cloned().collect();
    let mut add = |name: &str, value: Vec<u8>| {
        headers.push(Header::new(format!("{DEAD_LETTER_PREFIX}{name}"), value));
    };
    add("original-topic", at.topic.into());
    add("original-partition", at.partition.to_be_bytes().into());
    add("original-offset", at.offset.to_be_bytes().into());
    add("original-timestamp", at.timestamp_ms.to_be_bytes().into());
    add("exception-fqcn", class.into());
    add("exception-message", one_line(text, MAX_MESSAGE_BYTES).into());
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(headers: &[Header]) -> Vec<&str> {
        headers.iter().map(|each| each.key.as_str()).collect()
    }

    #[test]
    fn tracestate_is_passed_on_only_with_a_traceparent() {
        let state = Header::new(TRACESTATE, "a=1");
        let parent = Header::new(TRACEPARENT, "00-x-y-01");
        let alone = event_headers("id", Encoding::Json, std::slice::from_ref(&state));
        assert_eq!(keys(&alone), [CONTENT_TYPE, CORRELATION_ID]);
        let both = event_headers("id", Encoding::Avro, &[state, parent]);
        assert_eq!(keys(&both), [CONTENT_TYPE, CORRELATION_ID, TRACEPARENT, TRACESTATE]);
    }

    #[test]
    fn a_dead_letter_of_a_dead_letter_says_only_the_last_reason() {
        let at = Origin { topic: "t", partition: 1, offset: 2, timestamp_ms: 3 };
        let once = dead_letter_headers(&[Header::new("a", "b")], &at, "Unreadable", "why");
        let twice = dead_letter_headers(&once, &at, "Unreadable", "why");
        assert_eq!(once, twice);
        assert_eq!(last_header(&once, "kafka_dlt-original-offset"), Some(&2i64.to_be_bytes()[..]));
    }
}
