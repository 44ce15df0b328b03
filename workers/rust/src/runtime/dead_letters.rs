//! Requests that cannot be read, answered or finished go to the dead-letter topic.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{error, warn};

use super::core::Core;
use super::ids::new_event_id;
use super::job::Phase;
use super::mail::{Mail, Ticket};
use super::partition::PartitionId;
use super::settings::LETTER_PAUSE;
use crate::kafka::{Outgoing, PublishError, Received};
use crate::protocol::{
    Encoding, JobFailure, MAX_ERROR_MESSAGE_BYTES, REPLY_TOPIC, State, StatusEvent, Unreadable, dead_letter_headers,
    encode_event, error_type, event_headers, is_correlation_id, last_header, one_line,
};

/// A dead letter that is published until the brokers have it.
pub(super) struct Letter {
    record: Outgoing,
    of: Buried,
    /// When it is published again; nothing while it is on its way.
    due: Option<Instant>,
}

/// What a dead letter is written for.
enum Buried {
    Job(Ticket),
    Unreadable { partition: PartitionId, record: Arc<Received>, why: String },
}

impl Core {
    /// Writes a job's request to the dead-letter topic. Then its offset may be committed.
    ///
    /// `class` is the error's class, for programs.
    pub(super) fn bury(&mut self, ticket: Ticket, class: &str, why: &str) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        job.phase = Phase::Burying;
        job.reporter = None;
        error!(job = job.id(), job_type = job.request.job_type, error = why, "A request becomes a dead letter");
        let record = Arc::clone(&job.record);
        self.write_letter(&record, Buried::Job(ticket), class, why);
    }

    /// Writes a record to the dead-letter topic, and tells the task if it can be found.
    pub(super) fn reject_unreadable(&mut self, partition: PartitionId, record: Arc<Received>, error: &Unreadable) {
        error!(partition = partition.number, offset = record.offset, %error, "A request cannot be read");
        let why = error.to_string();
        let of = Buried::Unreadable { partition, record: Arc::clone(&record), why: why.clone() };
        self.write_letter(&record, of, "Unreadable", &why);
    }

    fn write_letter(&mut self, original: &Received, of: Buried, class: &str, why: &str) {
        let letter = self.next_number();
        let record = Outgoing {
            topic: self.settings.dead_letter_topic.clone(),
            key: original.key.clone(),
            value: original.value.clone(),
            headers: dead_letter_headers(&original.headers, &original.origin(), class, why),
        };
        self.letters.insert(letter, Letter { record, of, due: None });
        self.send_letter(letter);
    }

    fn send_letter(&mut self, letter: u64) {
        let Some(found) = self.letters.get_mut(&letter) else { return };
        found.due = None;
        let mail = self.port.mail.clone();
        let settled = self.port.services.publish(&found.record);
        tokio::spawn(async move {
            mail.send(Mail::LetterSettled { letter, result: settled.await });
        });
    }

    pub(super) fn send_letters_again(&mut self) {
        let now = Instant::now();
        let is_due = |letter: &Letter| letter.due.is_some_and(|due| due <= now);
        let due = self.letters.iter().filter(|(_, letter)| is_due(letter));
        let due: Vec<u64> = due.map(|(&number, _)| number).collect();
        due.into_iter().for_each(|letter| self.send_letter(letter));
    }

    pub(super) fn letter_settled(&mut self, number: u64, result: Result<(), PublishError>) {
        if let Err(error) = result {
            let Some(letter) = self.letters.get_mut(&number) else { return };
            let topic = &letter.record.topic;
            error!(topic, %error, "A dead letter cannot be written; its request stays uncommitted, and it is tried again");
            letter.due = Some(Instant::now() + LETTER_PAUSE);
            return;
        }
        match self.letters.remove(&number).map(|letter| letter.of) {
            Some(Buried::Job(ticket)) => self.forget(ticket, true),
            Some(Buried::Unreadable { partition, record, why }) => {
                self.tell_unreadable(partition, &record, &why);
            }
            None => {}
        }
    }

    fn tell_unreadable(&mut self, partition: PartitionId, record: &Received, why: &str) {
        let offset = record.offset;
        let Some(event) = self.unreadable_event(record, why) else {
            return self.finish_offset(partition, offset);
        };
        let mail = self.port.mail.clone();
        let settled = self.port.services.publish(&event);
        tokio::spawn(async move {
            if let Err(error) = settled.await {
                warn!(topic = event.topic, %error, "The task of an unreadable request cannot be told");
            }
            mail.send(Mail::TaskTold { partition, offset });
        });
    }

    /// The event for the task of an unreadable request, if its headers say where it is.
    fn unreadable_event(&self, record: &Received, why: &str) -> Option<Outgoing> {
        let key = record.key.as_deref().filter(|key| is_correlation_id(key))?;
        let topic = last_header(&record.headers, REPLY_TOPIC).filter(|topic| !topic.is_empty())?;
        let topic = String::from_utf8(topic.to_vec()).ok()?;
        let correlation_id = String::from_utf8(key.to_vec()).ok()?;
        let value = record.value.as_deref().unwrap_or_default();
        let encoding = Encoding::of(value).unwrap_or(Encoding::Avro);
        let headers = event_headers(&correlation_id, encoding, &record.headers);
        let event = StatusEvent {
            correlation_id,
            event_id: new_event_id(),
            delivery: 1,
            sequence: 0,
            state: State::Failed,
            occurred_at: self.port.services.now_ms(),
            worker_id: self.settings.worker_id.clone(),
            message: None,
            progress: None,
            external_id: None,
            result: None,
            result_type: None,
            result_ref: None,
            error: Some(JobFailure {
                kind: error_type::UNREADABLE.into(),
                message: one_line(why, MAX_ERROR_MESSAGE_BYTES),
                details: None,
                retryable: false,
            }),
            attributes: Default::default(),
        };
        let value = encode_event(&event, encoding).ok()?;
        Some(Outgoing { topic, key: record.key.clone(), value: Some(value), headers })
    }
}
