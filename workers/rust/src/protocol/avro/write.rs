//! Status events as Avro.

use std::collections::BTreeMap;

use super::{EVENT, MAGIC};
use crate::protocol::messages::{JobFailure, Progress, Reference, StatusEvent};

struct Writer(Vec<u8>);

impl Writer {
    fn long(&mut self, value: i64) {
        let mut bits = ((value << 1) ^ (value >> 63)) as u64;
        while bits >= 0x80 {
            self.0.push(bits as u8 | 0x80);
            bits >>= 7;
        }
        self.0.push(bits as u8);
    }

    fn double(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.long(value.len() as i64);
        self.0.extend(value);
    }

    fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.long(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn map(&mut self, map: &BTreeMap<String, String>) {
        if !map.is_empty() {
            self.long(map.len() as i64);
            for (key, value) in map {
                self.text(key);
                self.text(value);
            }
        }
        self.long(0);
    }

    fn progress(&mut self, progress: &Progress) {
        self.double(progress.completed);
        self.optional(progress.total, Self::double);
        self.optional(progress.unit.as_deref(), Self::text);
    }

    fn reference(&mut self, reference: &Reference) {
        self.text(&reference.uri);
        self.text(&reference.sha256);
        self.long(reference.size);
    }

    fn failure(&mut self, failure: &JobFailure) {
        self.text(&failure.kind);
        self.text(&failure.message);
        self.optional(failure.details.as_deref(), Self::text);
        self.0.push(failure.retryable.into());
    }
}

pub(in crate::protocol) fn write_event(event: &StatusEvent) -> Vec<u8> {
    let mut w = Writer([&MAGIC[..], &EVENT].concat());
    w.text(&event.correlation_id);
    w.text(&event.event_id);
    w.long(event.delivery.into());
    w.long(event.sequence);
    w.long(event.state as i64);
    w.long(event.occurred_at);
    w.text(&event.worker_id);
    w.optional(event.message.as_deref(), Writer::text);
    w.optional(event.progress.as_ref(), Writer::progress);
    w.optional(event.external_id.as_deref(), Writer::text);
    w.optional(event.result.as_deref(), Writer::bytes);
    w.optional(event.result_type.as_deref(), Writer::text);
    w.optional(event.result_ref.as_ref(), Writer::reference);
    w.optional(event.error.as_ref(), Writer::failure);
    w.map(&event.attributes);
    w.0
}
