//! The golden files of the repository, and hostile messages.

use std::path::PathBuf;

use serde_json::Value;

use super::messages::{JobCommand, JobRequest, StatusEvent};
use super::*;

fn golden(file: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/golden/v1");
    std::fs::read(PathBuf::from(folder).join(file)).expect(file)
}

fn index(part: &str) -> Vec<Value> {
    let index: Value = serde_json::from_slice(&golden("cases.json")).unwrap();
    index[part].as_array().unwrap().clone()
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap()
}

#[derive(Debug, PartialEq)]
enum Message {
    Request(JobRequest),
    Event(StatusEvent),
    Command(JobCommand),
}

fn decode(kind: &str, value: &[u8]) -> Result<Message, Unreadable> {
    match kind {
        "JobRequest" => decode_request(value).map(|(request, _)| Message::Request(request)),
        "StatusEvent" => decode_event(value).map(Message::Event),
        _ => decode_command(value).map(Message::Command),
    }
}

/// A message whose inlined JSON is compact: white space in it does not count.
fn read(kind: &str, file: &str) -> Message {
    let mut message = decode(kind, &golden(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    match &mut message {
        Message::Request(r) => compact(&mut r.payload, r.payload_type.as_deref()),
        Message::Event(e) => compact(&mut e.result, e.result_type.as_deref()),
        Message::Command(_) => {}
    }
    message
}

fn compact(data: &mut Option<Vec<u8>>, media_type: Option<&str>) {
    if let (Some(bytes), true) = (&data, media_type.is_some_and(is_json)) {
        let value: Value = serde_json::from_slice(bytes).unwrap();
        *data = Some(serde_json::to_vec(&value).unwrap());
    }
}

#[test]
fn both_encodings_of_a_golden_message_are_the_same() {
    for case in index("cases") {
        let kind = text(&case, "message");
        assert_eq!(read(kind, text(&case, "avro")), read(kind, text(&case, "json")), "{case}");
    }
}

#[test]
fn events_are_written_as_the_golden_files() {
    for case in index("cases").iter().filter(|each| text(each, "message") == "StatusEvent") {
        let original = golden(text(case, "avro"));
        let event = decode_event(&original).unwrap();
        assert_eq!(encode_event(&event, Encoding::Avro).unwrap(), original, "{case}");
        let json = encode_event(&event, Encoding::Json).unwrap();
        assert_eq!(decode_event(&json).unwrap(), event, "{case}");
    }
}

#[test]
fn other_forms_are_read() {
    let cases = index("cases");
    for entry in index("also_readable") {
        let same_as = text(&entry, "same_as");
        let case = cases.iter().find(|each| text(each, "name") == same_as).unwrap();
        let kind = text(case, "message");
        assert_eq!(read(kind, text(&entry, "file")), read(kind, text(case, "avro")), "{entry}");
    }
}

#[test]
fn unreadable_bytes_are_an_error() {
    for entry in index("unreadable") {
        assert!(decode(text(&entry, "message"), &golden(text(&entry, "file"))).is_err(), "{entry}");
    }
}

#[test]
fn no_beginning_and_no_changed_byte_of_a_golden_message_is_a_panic() {
    for case in index("cases") {
        for file in [text(&case, "avro"), text(&case, "json")] {
            let value = golden(file);
            for at in 0..value.len() {
                let _ = decode(text(&case, "message"), &value[..at]);
                let mut changed = value.clone();
                changed[at] ^= 0xFF;
                let _ = decode(text(&case, "message"), &changed);
            }
        }
    }
}

fn request_with(payload_type: &str, payload: &str) -> Vec<u8> {
    format!(
        r#"{{"correlation_id": "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001", "attempt": 1, "job_type": "t", "response_topic": "r", "created_at": 1,
            "heartbeat_interval_ms": 0, "payload_type": "{payload_type}", "payload": {payload}}}"#
    )
    .into_bytes()
}

#[test]
fn json_that_the_protocol_does_not_allow_is_an_error() {
    for (payload_type, payload) in [
        (MEDIA_TYPE_JSON, r#""\ud83d""#),
        (MEDIA_TYPE_JSON, r#""\ude00""#),
        (MEDIA_TYPE_JSON, "1e999"),
        ("text/plain", r#""YWJj\nZGVm""#),
        ("text/plain", r#""YQ""#),
        ("text/plain", r#""YR==""#),
    ] {
        let value = request_with(payload_type, payload);
        assert!(decode_request(&value).is_err(), "{payload_type} {payload} is read");
    }
    assert!(decode_request(&request_with(MEDIA_TYPE_JSON, r#""\ud83d\ude00""#)).is_ok());
}

#[test]
fn a_request_whose_id_is_no_uuid_in_lower_case_is_an_error() {
    let known = String::from_utf8(request_with(MEDIA_TYPE_JSON, "1")).unwrap();
    assert!(decode_request(known.as_bytes()).is_ok());
    for other in ["6F1C2F0A-8D4E-4B57-9A53-0C7D1BE0A001", "{6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001}", "a"] {
        let value = known.replace("6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001", other);
        assert!(decode_request(value.as_bytes()).is_err(), "{other} is read");
    }
}

#[test]
fn deep_json_is_read() {
    let payload = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let (request, _) = decode_request(&request_with(MEDIA_TYPE_JSON, &payload)).unwrap();
    assert_eq!(request.payload.unwrap(), payload.as_bytes());
}

#[test]
fn an_invalid_field_beside_an_error_does_not_hide_it() {
    let value = br#"{"correlation_id": "a", "event_id": "", "sequence": -1, "state": "FAILED",
        "occurred_at": 1e99, "worker_id": 7, "progress": {"completed": "x"}, "result": "no type",
        "error": {"type": "", "message": "m", "retryable": true}}"#;
    let event = decode_event(value).unwrap();
    assert_eq!(event.state, State::Failed);
    assert_eq!(event.error.unwrap().kind, "error");
}

#[test]
fn text_that_is_not_utf8_is_an_error_unless_it_is_beside_one() {
    let mut event = decode_event(&golden("event-failed.avro")).unwrap();
    event.worker_id = "\u{1}\u{2}\u{3}\u{4}".into();
    let damaged = |event: &StatusEvent| {
        let mut value = encode_event(event, Encoding::Avro).unwrap();
        let at = value.windows(4).position(|each| each == [1, 2, 3, 4]).unwrap();
        value[at] = 0xFF;
        value
    };
    assert!(decode_event(&damaged(&event)).is_ok());
    event.error = None;
    assert!(decode_event(&damaged(&event)).is_err());
}
