//! Publishes the status events of one delivery of one job, in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, warn};

use super::call::Report;
use super::decide::Ending;
use super::ids::new_event_id;
use super::ledger::History;
use super::mail::{Mail, Ticket};
use super::port::Port;
use super::settings::{DENIED_PAUSE, RETRY_PAUSE};
use crate::kafka::{Outgoing, PublishError};
use crate::protocol::{
    CHECKPOINT, Encoding, Header, MAX_MESSAGE_BYTES, State, StatusEvent, Unreadable, encode_event, one_line,
};

/// The share of the interval after which a heartbeat goes out, so that it arrives in time.
const HEARTBEAT_SHARE: f64 = 0.75;
/// The shortest time between two events that carry progress.
const PROGRESS_PAUSE: Duration = Duration::from_millis(500);

/// What all events of a job have in common.
pub(super) struct Envelope {
    pub(super) correlation_id: String,
    pub(super) response_topic: String,
    pub(super) headers: Vec<Header>,
    pub(super) encoding: Encoding,
    pub(super) worker_id: String,
    /// Zero: no heartbeats are wanted.
    pub(super) heartbeat_interval: Duration,
}

impl Envelope {
    fn record(&self, value: Vec<u8>) -> Outgoing {
        Outgoing {
            topic: self.response_topic.clone(),
            key: Some(self.correlation_id.clone().into_bytes()),
            value: Some(value),
            headers: self.headers.clone(),
        }
    }
}

/// While it may not publish, heartbeats and progress are dropped, and the event that must arrive waits.
pub(super) struct Reporter {
    ticket: Ticket,
    envelope: Arc<Envelope>,
    port: Port,
    pub(super) delivery: i32,
    sequence: i64,
    external_id: Option<String>,
    /// Repeated in every event except the terminal one.
    checkpoint: Option<String>,
    /// The message of heartbeats.
    pub(super) note: Option<String>,
    /// Whether the group has not given the partition to another worker.
    is_owned: bool,
    has_started: bool,
    /// Nothing follows the event that must arrive.
    is_closed: bool,
    pending: Option<Pending>,
    unsent: Option<Report>,
    sent_at: Instant,
    progress_at: Option<Instant>,
}

/// An event that is sent again, with the same id, until the brokers have it.
struct Pending {
    serial: u64,
    value: Vec<u8>,
    is_in_flight: bool,
    due: Instant,
}

impl Reporter {
    /// The reporter of a delivery; `history` is what the ledger says of the job.
    pub(super) fn new(ticket: Ticket, envelope: Arc<Envelope>, port: Port, delivery: i32, history: &History) -> Self {
        Reporter {
            ticket,
            envelope,
            port,
            delivery,
            sequence: 0,
            external_id: None,
            checkpoint: history.checkpoint.clone(),
            note: None,
            is_owned: true,
            has_started: false,
            is_closed: false,
            pending: None,
            unsent: None,
            sent_at: Instant::now(),
            progress_at: None,
        }
    }

    /// Continues the events of an interrupted delivery.
    pub(super) fn continues(&mut self, history: &History) {
        self.sequence = history.sequence.saturating_add(1);
        self.external_id = history.external_id.clone();
    }

    pub(super) fn may_publish(&self) -> bool {
        self.is_owned && self.port.services.is_member()
    }

    /// Publishes an event that must arrive. A mail tells when the brokers have it, or that they never will.
    pub(super) fn publish(&mut self, ending: &Ending, serial: u64) -> Result<(), Unreadable> {
        self.flush();
        let mut event = self.event(ending.state);
        let message = ending.message.as_deref().map(|text| one_line(text, MAX_MESSAGE_BYTES));
        event.message = message.filter(|text| !text.is_empty());
        (event.result, event.result_type) = ending.result.clone().unzip();
        event.error = ending.failure.clone();
        event.attributes.extend(ending.attributes.clone());
        let value = encode_event(&event, self.envelope.encoding)?;
        self.is_closed = self.is_closed || ending.state != State::Accepted;
        self.pending = Some(Pending { serial, value, is_in_flight: false, due: Instant::now() });
        self.send_pending();
        Ok(())
    }

    fn send_pending(&mut self) {
        let may_publish = self.may_publish();
        let Some(pending) = &mut self.pending else { return };
        if pending.is_in_flight || pending.due > Instant::now() || !may_publish {
            return;
        }
        pending.is_in_flight = true;
        let (ticket, serial, mail) = (self.ticket, pending.serial, self.port.mail.clone());
        let record = self.envelope.record(pending.value.clone());
        let settled = self.port.services.publish(&record);
        tokio::spawn(async move {
            mail.send(Mail::Settled { ticket, serial, result: settled.await });
        });
    }

    pub(super) fn has_pending(&self, serial: u64) -> bool {
        self.pending.as_ref().is_some_and(|each| each.serial == serial)
    }

    /// Takes an answer for the event that must arrive. Returns how it ended, or nothing if it is sent again.
    ///
    /// `was_usable` tells whether this worker could use the topic before.
    pub(super) fn settle(
        &mut self,
        result: Result<(), PublishError>,
        was_usable: bool,
    ) -> Option<Result<(), PublishError>> {
        match (&result, &mut self.pending) {
            (Err(error), Some(pending)) if !error.is_final(was_usable) => {
                warn!(job = self.envelope.correlation_id, %error, "An event is published again");
                pending.is_in_flight = false;
                let is_denied = matches!(error, PublishError::Denied(_));
                pending.due = Instant::now() + if is_denied { DENIED_PAUSE } else { RETRY_PAUSE };
                None
            }
            _ => {
                self.pending = None;
                Some(result)
            }
        }
    }

    /// Publishes what a handler has reported: now, or soon. The latest values win.
    pub(super) fn report(&mut self, report: Report) {
        if self.is_closed {
            return;
        }
        let is_new_id = report.external_id.is_some();
        self.external_id = report.external_id.clone().or(self.external_id.take());
        self.checkpoint = report.checkpoint.clone().or(self.checkpoint.take());
        if report != Report::default() {
            let unsent = self.unsent.get_or_insert_default();
            unsent.progress = report.progress.or(unsent.progress.take());
            unsent.message = report.message.or(unsent.message.take());
        }
        if is_new_id || self.is_progress_due() {
            self.flush();
        }
    }

    fn is_progress_due(&self) -> bool {
        self.progress_at.is_none_or(|at| at.elapsed() >= PROGRESS_PAUSE)
    }

    /// Publishes progress that waits.
    fn flush(&mut self) {
        if self.is_closed || !self.may_publish() {
            return;
        }
        let Some(report) = self.unsent.take() else { return };
        let mut event = self.event(State::Running);
        event.progress = report.progress;
        event.message = report.message;
        self.progress_at = Some(Instant::now());
        self.send_freely(&event);
    }

    /// Publishes what is due.
    pub(super) fn tick(&mut self) {
        self.send_pending();
        if self.unsent.is_some() && self.is_progress_due() {
            self.flush();
        }
        let interval = self.envelope.heartbeat_interval;
        let is_due = self.sent_at.elapsed() >= interval.mul_f64(HEARTBEAT_SHARE);
        if self.has_started && !interval.is_zero() && self.pending.is_none() && is_due {
            self.heartbeat();
        }
    }

    /// Publishes the first heartbeat of a job without ACCEPTED.
    pub(super) fn begin_with_heartbeat(&mut self) {
        if !self.has_started && self.may_publish() {
            self.heartbeat();
        }
    }

    fn heartbeat(&mut self) {
        if self.is_closed || !self.may_publish() {
            return;
        }
        let mut event = self.event(State::Running);
        event.message = self.note.clone();
        self.send_freely(&event);
    }

    /// The next event of the job.
    fn event(&mut self, state: State) -> StatusEvent {
        let sequence = self.sequence;
        self.sequence += 1;
        self.has_started = true;
        self.sent_at = Instant::now();
        let checkpoint = self.checkpoint.clone().filter(|_| !state.is_terminal());
        StatusEvent {
            correlation_id: self.envelope.correlation_id.clone(),
            event_id: new_event_id(),
            delivery: self.delivery,
            sequence,
            state,
            occurred_at: self.port.services.now_ms(),
            worker_id: self.envelope.worker_id.clone(),
            message: None,
            progress: None,
            external_id: self.external_id.clone(),
            result: None,
            result_type: None,
            result_ref: None,
            error: None,
            attributes: checkpoint.map(|text| (CHECKPOINT.to_owned(), text)).into_iter().collect(),
        }
    }

    /// Sends an event that need not arrive.
    fn send_freely(&self, event: &StatusEvent) {
        match encode_event(event, self.envelope.encoding) {
            Ok(value) => drop(self.port.services.publish(&self.envelope.record(value))),
            Err(error) => error!(job = event.correlation_id, %error, "An event cannot be encoded"),
        }
    }

    /// Publishes nothing more until [`resume`](Self::resume): the group may have given the job to another worker.
    pub(super) fn suspend(&mut self) {
        self.is_owned = false;
    }

    /// Continues: the group has given the job back.
    pub(super) fn resume(&mut self) {
        self.is_owned = true;
    }
}
