//! Status events as JSON. Fields that have their default are omitted.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::codec::Unreadable;
use super::json_check::check;
use super::media_type::is_json;
use super::messages::StatusEvent;

#[derive(Serialize)]
struct Reference<'a> {
    uri: &'a str,
    sha256: &'a str,
    size: i64,
}

#[derive(Serialize)]
struct Progress<'a> {
    completed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
}

#[derive(Serialize)]
struct Failure<'a> {
    r#type: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a str>,
    retryable: bool,
}

#[derive(Serialize)]
struct Event<'a> {
    correlation_id: &'a str,
    event_id: &'a str,
    delivery: i32,
    sequence: i64,
    state: &'static str,
    occurred_at: i64,
    worker_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_ref: Option<Reference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
}

pub(super) fn event(e: &StatusEvent) -> Result<Vec<u8>, Unreadable> {
    let event = Event {
        correlation_id: &e.correlation_id,
        event_id: &e.event_id,
        delivery: e.delivery,
        sequence: e.sequence,
        state: e.state.symbol(),
        occurred_at: e.occurred_at,
        worker_id: &e.worker_id,
        message: e.message.as_deref(),
        progress: e.progress.as_ref().map(|p| Progress {
            completed: p.completed,
            total: p.total,
            unit: p.unit.as_deref(),
        }),
        external_id: e.external_id.as_deref(),
        result: data(e.result.as_deref(), e.result_type.as_deref())?,
        result_type: e.result_type.as_deref(),
        result_ref: e.result_ref.as_ref().map(|r| Reference { uri: &r.uri, sha256: &r.sha256, size: r.size }),
        error: e.error.as_ref().map(|f| Failure {
            r#type: &f.kind,
            message: &f.message,
            details: f.details.as_deref(),
            retryable: f.retryable,
        }),
        attributes: &e.attributes,
    };
    serde_json::to_vec(&event).map_err(|error| Unreadable::new(error.to_string()))
}

/// A result as the protocol inlines it: as JSON, or as base64 in a string.
fn data(bytes: Option<&[u8]>, media_type: Option<&str>) -> Result<Option<Box<RawValue>>, Unreadable> {
    let (Some(bytes), Some(named)) = (bytes, media_type) else { return Ok(None) };
    let value = if is_json(named) {
        RawValue::from_string(check(bytes)?.to_owned())
    } else {
        to_raw_value(&BASE64.encode(bytes))
    };
    value.map(Some).map_err(|error| Unreadable::new(error.to_string()))
}
