//! Messages from JSON.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::codec::Unreadable;
use super::json_check::check;
use super::media_type::is_json;
use super::messages::{Command, JobCommand, JobFailure, JobRequest, Progress, Reference, State, StatusEvent, Task};

type Read<T> = Result<T, Unreadable>;

/// A JSON object with its fields undecoded. Of a key that occurs twice, the last one counts.
struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Read<Self> {
        let fields = serde_json::from_str(text);
        fields.map(Fields).map_err(|error| Unreadable::new(format!("it is not an object: {error}")))
    }

    /// The text of a field; `None` if it is absent or null.
    fn get(&self, name: &str) -> Option<&'a str> {
        let raw = self.0.get(name)?.get();
        (raw != "null").then_some(raw)
    }

    fn optional<T>(&self, name: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Read<Option<T>> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        match read(raw) {
            Some(value) => Ok(Some(value)),
            None => Err(Unreadable::new(format!("{name:?} has a value that is not allowed"))),
        }
    }

    fn required<T>(&self, name: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Read<T> {
        let value = self.optional(name, read)?;
        value.ok_or_else(|| Unreadable::new(format!("{name:?} is missing")))
    }

    /// A field with a default that is not null, which may be absent but not null.
    fn with_default<T>(&self, name: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Read<Option<T>> {
        if self.0.contains_key(name) { self.required(name, read).map(Some) } else { Ok(None) }
    }

    fn nested<T>(&self, name: &str, read: impl FnOnce(&Fields<'a>) -> Read<T>) -> Read<Option<T>> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        read(&Fields::parse(raw)?).map(Some)
    }

    /// A payload or a result, which depends on its media type.
    fn data(&self, name: &str, media_type: Option<&str>) -> Read<Option<Vec<u8>>> {
        match media_type {
            None if self.get(name).is_some() => {
                Err(Unreadable::new(format!("{name:?} is not allowed without its media type")))
            }
            None => Ok(None),
            Some(named) if is_json(named) => Ok(self.0.get(name).map(|raw| raw.get().as_bytes().to_vec())),
            Some(_) => self.optional(name, |raw| BASE64.decode(text(raw)?).ok()),
        }
    }
}

fn parsed<'a, T: Deserialize<'a>>(raw: &'a str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

fn text(raw: &str) -> Option<String> {
    parsed(raw)
}

/// An integer without a fraction and an exponent.
fn integer<T: FromStr>(raw: &str) -> Option<T> {
    raw.parse().ok()
}

/// A number, rounded correctly.
fn number(raw: &str) -> Option<f64> {
    raw.parse().ok()
}

fn boolean(raw: &str) -> Option<bool> {
    parsed(raw)
}

fn attributes(raw: &str) -> Option<BTreeMap<String, String>> {
    parsed(raw)
}

fn reference(f: &Fields) -> Read<Reference> {
    Ok(Reference {
        uri: f.required("uri", text)?,
        sha256: f.required("sha256", text)?,
        size: f.required("size", integer)?,
    })
}

fn task(f: &Fields) -> Read<Task> {
    Ok(Task {
        source: f.required("source", text)?,
        dag_id: f.required("dag_id", text)?,
        run_id: f.required("run_id", text)?,
        task_id: f.required("task_id", text)?,
        map_index: f.required("map_index", integer)?,
        try_number: f.required("try_number", integer)?,
        url: f.optional("url", text)?,
    })
}

fn progress(f: &Fields) -> Read<Progress> {
    Ok(Progress {
        completed: f.required("completed", number)?,
        total: f.optional("total", number)?,
        unit: f.optional("unit", text)?,
    })
}

fn failure(f: &Fields) -> Read<JobFailure> {
    Ok(JobFailure {
        kind: f.required("type", text)?,
        message: f.required("message", text)?,
        details: f.optional("details", text)?,
        retryable: f.required("retryable", boolean)?,
    })
}

pub(super) fn read_request(value: &[u8]) -> Read<JobRequest> {
    let f = Fields::parse(check(value)?)?;
    let payload_type = f.optional("payload_type", text)?;
    Ok(JobRequest {
        correlation_id: f.required("correlation_id", text)?,
        attempt: f.required("attempt", integer)?,
        job_type: f.required("job_type", text)?,
        payload: f.data("payload", payload_type.as_deref())?,
        payload_type,
        payload_ref: f.nested("payload_ref", reference)?,
        response_topic: f.required("response_topic", text)?,
        created_at: f.required("created_at", integer)?,
        expires_at: f.optional("expires_at", integer)?,
        deadline: f.optional("deadline", integer)?,
        heartbeat_interval_ms: f.required("heartbeat_interval_ms", integer)?,
        task: f.nested("task", task)?,
        attributes: f.with_default("attributes", attributes)?.unwrap_or_default(),
    })
}

fn state(raw: &str) -> Option<State> {
    let symbol = text(raw)?;
    let known = State::ALL.into_iter().find(|each| each.symbol() == symbol);
    Some(known.unwrap_or(State::Unknown))
}

pub(super) fn read_event(value: &[u8]) -> Read<StatusEvent> {
    let f = Fields::parse(check(value)?)?;
    let mut event = StatusEvent {
        correlation_id: f.required("correlation_id", text)?,
        event_id: String::new(),
        delivery: 1,
        sequence: 0,
        state: f.required("state", state)?,
        occurred_at: 0,
        worker_id: String::new(),
        message: None,
        progress: None,
        external_id: None,
        result: None,
        result_type: None,
        result_ref: None,
        error: f.nested("error", failure)?,
        attributes: BTreeMap::new(),
    };
    let read = FieldsBesideError { has_error: event.error.is_some() };
    read.set(&mut event.event_id, f.required("event_id", text))?;
    read.set(&mut event.delivery, f.with_default("delivery", integer).map(|d| d.unwrap_or(1)))?;
    read.set(&mut event.sequence, f.required("sequence", integer))?;
    read.set(&mut event.occurred_at, f.required("occurred_at", integer))?;
    read.set(&mut event.worker_id, f.required("worker_id", text))?;
    read.set(&mut event.message, f.optional("message", text))?;
    read.set(&mut event.progress, f.nested("progress", progress))?;
    read.set(&mut event.external_id, f.optional("external_id", text))?;
    read.set(&mut event.result_type, f.optional("result_type", text))?;
    read.set(&mut event.result, f.data("result", event.result_type.as_deref()))?;
    read.set(&mut event.result_ref, f.nested("result_ref", reference))?;
    read.set(&mut event.attributes, f.with_default("attributes", attributes).map(Option::unwrap_or_default))?;
    Ok(event)
}

/// Invalid fields keep their defaults if there is an error beside them.
struct FieldsBesideError {
    has_error: bool,
}

impl FieldsBesideError {
    fn set<T>(&self, field: &mut T, value: Read<T>) -> Read<()> {
        match value {
            Ok(value) => *field = value,
            Err(error) if !self.has_error => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }
}

pub(super) fn read_command(value: &[u8]) -> Read<JobCommand> {
    let f = Fields::parse(check(value)?)?;
    let command = |raw: &str| Some(if text(raw)? == "CANCEL" { Command::Cancel } else { Command::Unknown });
    Ok(JobCommand {
        correlation_id: f.required("correlation_id", text)?,
        command: f.required("command", command)?,
        reason: f.optional("reason", text)?,
        issued_at: f.required("issued_at", integer)?,
        attributes: f.with_default("attributes", attributes)?.unwrap_or_default(),
    })
}
