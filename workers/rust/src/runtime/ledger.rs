//! What response topics say of jobs.

use std::collections::{HashMap, HashSet};

use super::ids::JobKey;
use crate::kafka::Received;
use crate::protocol::{CHECKPOINT, MAX_CHECKPOINT_BYTES, State, StatusEvent, decode_event};

/// How far the clocks of Airflow, workers and brokers may differ.
const CLOCK_SKEW_MS: i64 = 60_000;
/// How much earlier a reading begins, so that slightly older requests need no second one.
const READ_EARLIER_MS: i64 = 60_000;

/// What the response topic says of an unfinished job.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    /// The highest delivery seen.
    pub(super) delivery: i32,
    /// How many RELEASED events there are.
    pub(super) released: i32,
    /// Whether the last event of the highest delivery is RELEASED.
    pub(super) is_released: bool,
    /// The sequence of that event.
    pub(super) sequence: i64,
    pub(super) external_id: Option<String>,
    /// The checkpoint as text, which is `null` if a handler has cleared it.
    pub(super) checkpoint: Option<String>,
}

impl History {
    /// How many deliveries have ended without an event.
    pub(super) fn interrupted(&self) -> u32 {
        self.delivery.saturating_sub(self.released).max(0).unsigned_abs()
    }

    /// Whether the worker that had the job last is gone without giving it back.
    pub(super) fn was_broken(&self) -> bool {
        self.delivery > 0 && !self.is_released
    }

    fn add(&mut self, event: StatusEvent) {
        let is_released = event.state == State::Released;
        self.released = self.released.saturating_add(is_released.into());
        if event.delivery < self.delivery {
            return;
        }
        self.delivery = event.delivery;
        self.sequence = event.sequence;
        self.is_released = is_released;
        if event.external_id.is_some() {
            self.external_id = event.external_id;
        }
        let checkpoint = event.attributes.get(CHECKPOINT).filter(|text| text.len() <= MAX_CHECKPOINT_BYTES);
        // An event without the attribute changes nothing: its worker may not know checkpoints.
        if let Some(text) = checkpoint {
            self.checkpoint = Some(text.clone());
        }
    }
}

/// What a response topic says of jobs since a time.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    finished: HashSet<JobKey>,
    unfinished: HashMap<JobKey, History>,
}

impl Snapshot {
    /// Adds a record of the response topic. What is not a status event is ignored.
    pub(super) fn add(&mut self, record: &Received) {
        let (Some(key), Some(value)) = (&record.key, &record.value) else { return };
        let key = JobKey::of(key);
        if self.finished.contains(&key) {
            return; // the first terminal event wins
        }
        let Ok(event) = decode_event(value) else { return };
        if event.state.is_terminal() {
            self.finished.insert(key);
            self.unfinished.remove(&key);
        } else {
            self.unfinished.entry(key).or_default().add(event);
        }
    }

    pub(super) fn is_finished(&self, key: JobKey) -> bool {
        self.finished.contains(&key)
    }

    pub(super) fn history(&self, key: JobKey) -> History {
        self.unfinished.get(&key).cloned().unwrap_or_default()
    }
}

/// A reading of a response topic that may be used.
pub(super) struct Reading {
    pub(super) since_ms: i64,
    /// The assignment up to which it counts.
    pub(super) epoch: u64,
    pub(super) snapshot: Snapshot,
}

impl Reading {
    /// Whether it has all events of a job whose request is of this assignment.
    pub(super) fn covers(&self, created_at: i64, epoch: u64) -> bool {
        self.epoch >= epoch && self.since_ms <= created_at - CLOCK_SKEW_MS
    }
}

/// Where a reading for a request begins.
pub(super) fn reading_since(created_at: i64) -> i64 {
    created_at - CLOCK_SKEW_MS - READ_EARLIER_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Encoding, encode_event};

    fn event(state: State, delivery: i32, sequence: i64) -> StatusEvent {
        StatusEvent {
            correlation_id: "job".into(),
            event_id: "e".into(),
            delivery,
            sequence,
            state,
            occurred_at: 0,
            worker_id: "w".into(),
            message: None,
            progress: None,
            external_id: Some(format!("x{delivery}")),
            result: None,
            result_type: None,
            result_ref: None,
            error: None,
            attributes: Default::default(),
        }
    }

    fn snapshot(events: &[StatusEvent]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for each in events {
            let value = encode_event(each, Encoding::Avro).unwrap();
            let key = Some(b"job".to_vec());
            snapshot.add(&Received { key, value: Some(value), ..Received::default() });
        }
        snapshot
    }

    #[test]
    fn an_external_id_outlives_an_event_without_one() {
        let events = [event(State::Running, 1, 0), StatusEvent { external_id: None, ..event(State::Accepted, 2, 0) }];
        let history = snapshot(&events).history(JobKey::of(b"job"));
        assert_eq!((history.delivery, history.external_id.as_deref()), (2, Some("x1")));
    }

    #[test]
    fn the_highest_delivery_counts_and_released_ones_do_not_count_as_interrupted() {
        let key = JobKey::of(b"job");
        let history = snapshot(&[
            event(State::Accepted, 1, 0),
            event(State::Released, 1, 1),
            event(State::Accepted, 2, 0),
            event(State::Running, 2, 4),
            event(State::Running, 1, 9),
        ])
        .history(key);
        assert_eq!((history.delivery, history.sequence, history.interrupted()), (2, 4, 1));
        assert!(history.was_broken());
        assert_eq!(history.external_id.as_deref(), Some("x2"));
    }

    #[test]
    fn the_first_end_counts_whatever_follows_and_odd_records_are_ignored() {
        let mut found = snapshot(&[event(State::Cancelled, 1, 0), event(State::Accepted, 2, 0)]);
        for value in [None, Some(b"garbage".to_vec())] {
            found.add(&Received { key: Some(b"other".to_vec()), value, ..Received::default() });
        }
        assert!(found.is_finished(JobKey::of(b"job")));
        assert!(!found.is_finished(JobKey::of(b"other")));
    }

    #[test]
    fn a_reading_counts_for_requests_of_its_time_and_its_assignment() {
        let created_at = 1_000_000;
        let since_ms = reading_since(created_at);
        let reading = Reading { since_ms, epoch: 3, snapshot: Snapshot::default() };
        assert!(reading.covers(created_at, 3));
        assert!(!reading.covers(created_at, 4));
        assert!(!reading.covers(since_ms, 3));
    }
}
